// Backward of the compositing of one tile, back to front.
//
// One scalar per pixel, R = sum over what lies behind of weight * (image gradient . colour), serves all channels:
// d(loss)/d(alpha) = T (g . c) - R / (1 - alpha). Per (tile, Gaussian) pair six moments of v = d(loss)/d(sigma) and the
// colour gradients go to a slot of the pair's own: no atomics, the same bits for any number of threads.
#include "kernels.h"
#include "pool.h"
#include "tile.h"

namespace tb::TB_ISA {
namespace {

template <int D>
struct Pixels {
    alignas(64) float transmittance[kTilePixels];
    alignas(64) float behind[kTilePixels];
    alignas(64) float grad[D][kTilePixels];
};

// Reads the image gradient of a tile. Channels from `attached` on give nothing to alpha, so not to `behind` either.
template <int D>
void read_tile(const Frame& f, const Tile& t, const ImageGrads& image, int attached, Pixels<D>& p) {
    const int64_t first = static_cast<int64_t>(t.index) * kTilePixels;
    __builtin_memcpy(p.transmittance, f.transmittance.data + first, sizeof(p.transmittance));
    __builtin_memset(p.behind, 0, sizeof(p.behind));
    __builtin_memset(p.grad, 0, sizeof(p.grad));
    for (int y = 0; y < t.height; y++) {
        float *behind = p.behind + y * kRow, *transmittance = p.transmittance + y * kRow;
        if (image.alpha) {
            const float* alpha = image.alpha + static_cast<int64_t>(t.y + y) * f.width + t.x;
            for (int x = 0; x < t.width; x++) behind[x] = -alpha[x];
        }
        for (int k = 0; image.color && k < f.channels; k++) {
            const float* from = image.color + k * image.channel + (t.y + y) * image.row + t.x * image.column;
            float* to = p.grad[k] + y * kRow;
            if (image.column == 1) __builtin_memcpy(to, from, sizeof(float) * t.width);
            else for (int x = 0; x < t.width; x++) to[x] = from[x * image.column];
            if (k >= attached) continue;
            const float background = f.background[k];
            for (int x = 0; x < t.width; x++) behind[x] += to[x] * background;
        }
        for (int x = 0; x < t.width; x++) behind[x] *= transmittance[x];
    }
}

// For each row the list place behind which nothing was drawn; returns the largest.
int last_drawn(const Tile& t, const int32_t* stop, int* row_last) {
    int last = 0;
    for (int y = 0; y < t.height; y++) {
        int row = 0;
        for (int x = 0; x < t.width; x++) row = imax(row, stop[y * kRow + x]);
        row_last[y] = row;
        last = imax(last, row);
    }
    return last;
}

// Widens the rows of interest to all that still had room when `entry` was drawn; grows as entry falls.
void widen(Tile& t, const int* row_last, int entry) {
    if (t.row1 < t.row0) {
        for (t.row0 = 0; row_last[t.row0] <= entry; t.row0++) {}
        for (t.row1 = t.height - 1; row_last[t.row1] <= entry; t.row1--) {}
        return;
    }
    for (int y = 0; y < t.row0; y++)
        if (row_last[y] > entry) t.row0 = y;
    for (int y = t.height - 1; y > t.row1; y--)
        if (row_last[y] > entry) t.row1 = y;
}

template <int D>
void write_slot(const vf* moments, const vf* colors, float* slot) {
    constexpr int parts = (6 + D + 7) / 8;
    vf all[parts * 8];
    for (int k = 0; k < parts * 8; k++) all[k] = k < 6 ? moments[k] : k < 6 + D ? colors[k - 6] : splat(0.f);
    for (int k = 0; k < parts; k++) sum_lanes8(all + k * 8, slot + k * 8);
}

template <int D>
void pair_backward(const Spans& spans, int n, int entry, const int32_t* stop, const vf* tint, Pixels<D>& p, float* slot) {
    vf moment[6], color[D];
    for (vf& m : moment) m = splat(0.f);
    for (vf& c : color) c = splat(0.f);
    for (int j = 0; j < n; j++) {
        const int at = spans.at[j];
        const vf alpha = zero_unless(load(stop + at) > entry, load(spans.alpha + j * L));
        const vf inverse = 1.f / (1.f - alpha), before = load(p.transmittance + at) * inverse;
        const vf behind = load(p.behind + at), weight = alpha * before;
        vf dot = splat(0.f);
        for (int k = 0; k < D; k++) {
            const vf grad = load(p.grad[k] + at);
            dot = grad * tint[k] + dot;
            color[k] = weight * grad + color[k];
        }
        store(p.transmittance + at, before);
        store(p.behind + at, weight * dot + behind);
        const vf v = zero_unless(alpha < kMaxAlpha, alpha) * (behind * inverse - before * dot);
        const vf dx = lanes() + spans.dx[j];
        const float dy = spans.dy[j];
        const vf vx = v * dx, vy = v * dy;
        moment[0] += v;
        moment[1] += vx;
        moment[2] += vy;
        moment[3] = vx * dx + moment[3];
        moment[4] = vx * dy + moment[4];
        moment[5] = vy * dy + moment[5];
    }
    write_slot<D>(moment, color, slot);
}

template <int D>
void tile_backward(Frame& f, int index, const ImageGrads& image, int attached) {
    Tile t = tile_at(f, index);
    if (t.first_entry == t.end_entry) return;
    const int32_t* stop = f.stop.data + static_cast<int64_t>(index) * kTilePixels;
    Pixels<D> pixels;
    read_tile<D>(f, t, image, attached, pixels);
    int row_last[kTileH];
    const int last = imin(last_drawn(t, stop, row_last), t.end_entry);
    float* slots = f.slots.data;
    if (last < t.end_entry)
        __builtin_memset(slots + static_cast<int64_t>(last) * f.slot, 0, sizeof(float) * f.slot * (t.end_entry - last));
    Spans spans;
    t.row0 = t.height;
    t.row1 = -1;
    for (int entry = last - 1; entry >= t.first_entry; entry--) {
        const int gaussian = f.entries.data[entry];
        const Record& g = f.records.data[gaussian];
        __builtin_prefetch(&f.records.data[f.entries.data[imax(t.first_entry, entry - kPrefetch)]]);
        widen(t, row_last, entry);
        const int n = find_spans<true>(g, t, spans);
        vf tint[D];
        for (int k = 0; k < D; k++) tint[k] = splat(k < attached ? color_of(f, g, gaussian, k) : 0.f);
        pair_backward<D>(spans, n, entry, stop, tint, pixels, slots + static_cast<int64_t>(entry) * f.slot);
    }
}

template <int D>
void all_tiles(Frame& f, const ImageGrads& image, int attached) {
    parallel(f.tiles_x * f.tiles_y, [&](int index) { tile_backward<D>(f, index, image, attached); });
}

}  // namespace

void tiles_backward(Frame& f, const ImageGrads& image, int attached) {
#define TB_CALL(D) all_tiles<D>(f, image, attached)
    TB_FOR_CHANNELS(f, TB_CALL)
#undef TB_CALL
}

}  // namespace tb::TB_ISA
