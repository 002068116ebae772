// Front-to-back alpha compositing of one tile, Gaussian by Gaussian (Kerbl et al. 2023), planar output.
#include "kernels.h"
#include "pool.h"
#include "tile.h"

namespace tb::TB_ISA {
namespace {

// Nothing is drawn here.
void fill_background(const Frame& f, const Tile& t, float* color, float* alpha) {
    const int64_t plane = static_cast<int64_t>(f.width) * f.height;
    for (int y = 0; y < t.height; y++) {
        const int64_t at = static_cast<int64_t>(t.y + y) * f.width + t.x;
        for (int x = 0; x < t.width; x++) alpha[at + x] = 0.f;
        for (int k = 0; k < f.channels; k++) {
            const float background = f.background[k];
            for (int x = 0; x < t.width; x++) color[k * plane + at + x] = background;
        }
    }
}

// Pixels outside the image count as full from the start.
void open_pixels(const Tile& t, float* transmittance, int32_t* stop) {
    for (int y = 0; y < kTileH; y++) {
        const int width = y < t.height ? t.width : 0;
        for (int x = 0; x < kRow; x++) {
            transmittance[y * kRow + x] = x < width ? 1.f : -1.f;
            stop[y * kRow + x] = x < width ? t.end_entry : t.first_entry;
        }
    }
}

// Counts of pixels still open, so that full rows and full tiles are left early.
struct Open {
    int total, row[kTileH];
};

// Marks the pixels that Gaussian `entry` found full: their transmittance has just turned negative.
void close_pixels(const Spans& spans, int n, int entry, int end_entry, const float* transmittance, int32_t* stop,
                  Open& open) {
    for (int j = 0; j < n; j++) {
        const int at = spans.at[j];
        const vi fresh = (vi)load(transmittance + at) & (load(stop + at) == end_entry) &
                         (load(spans.alpha + j * L) > 0.f);
        int closed = bits(fresh), count = 0;
        for (; closed; closed &= closed - 1, count++) stop[at + __builtin_ctz(closed)] = entry;
        open.row[at / kRow] -= count;
        open.total -= count;
    }
}

void write_tile(const Frame& f, const Tile& t, const float (*sum)[kTilePixels], float* transmittance, float* color,
                float* alpha) {
    const int64_t plane = static_cast<int64_t>(f.width) * f.height;
    for (int y = 0; y < t.height; y++) {
        const int64_t at = static_cast<int64_t>(t.y + y) * f.width + t.x;
        float* row = transmittance + y * kRow;
        for (int x = 0; x < t.width; x++) {
            row[x] = __builtin_fabsf(row[x]);
            alpha[at + x] = 1.f - row[x];
        }
        for (int k = 0; k < f.channels; k++) {
            const float background = f.background[k], *from = sum[k] + y * kRow;
            float* __restrict to = color + k * plane + at;
            for (int x = 0; x < t.width; x++) to[x] = from[x] + row[x] * background;
        }
    }
}

template <int D>
void tile_forward(Frame& f, int index, float* color, float* alpha) {
    Tile t = tile_at(f, index);
    if (t.first_entry == t.end_entry) return fill_background(f, t, color, alpha);
    alignas(64) float sum[D][kTilePixels] = {};
    float* transmittance = f.transmittance.data + static_cast<int64_t>(index) * kTilePixels;  // negative: full
    int32_t* stop = f.stop.data + static_cast<int64_t>(index) * kTilePixels;
    open_pixels(t, transmittance, stop);
    Open open;
    open.total = t.width * t.height;
    for (int& row : open.row) row = t.width;
    Spans spans;
    for (int entry = t.first_entry; entry < t.end_entry; entry++) {
        const int gaussian = f.entries.data[entry];
        const Record& g = f.records.data[gaussian];
        __builtin_prefetch(&f.records.data[f.entries.data[entry + kPrefetch]]);
        const int n = find_spans<false>(g, t, spans);
        vf tint[D];
        for (int k = 0; k < D; k++) tint[k] = splat(color_of(f, g, gaussian, k));
        vi full = splat(0);
        for (int j = 0; j < n; j++) {
            const int at = spans.at[j];
            const vf before = load(transmittance + at), weight = load(spans.alpha + j * L) * before;
            const vf after = before - weight;
            const vi ok = after > kMinTransmittance;
            full |= (weight > 0.f) & ~ok;
            const vf drawn = zero_unless(ok, weight);
            store(transmittance + at, pick(ok, after, (vf)((vi)before | splat(INT32_MIN))));
            for (int k = 0; k < D; k++) store(sum[k] + at, drawn * tint[k] + load(sum[k] + at));
        }
        if (!bits(full)) continue;
        close_pixels(spans, n, entry, t.end_entry, transmittance, stop, open);
        if (open.total <= 0) break;
        while (open.row[t.row0] <= 0) t.row0++;
        while (open.row[t.row1] <= 0) t.row1--;
    }
    write_tile(f, t, sum, transmittance, color, alpha);
}

template <int D>
void all_tiles(Frame& f, float* color, float* alpha) {
    parallel(f.tiles_x * f.tiles_y, [&](int index) { tile_forward<D>(f, index, color, alpha); });
}

}  // namespace

void tiles_forward(Frame& f, float* color, float* alpha) {
#define TB_CALL(D) all_tiles<D>(f, color, alpha)
    TB_FOR_CHANNELS(f, TB_CALL)
#undef TB_CALL
}

}  // namespace tb::TB_ISA
