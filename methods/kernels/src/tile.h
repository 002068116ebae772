// What the forward and the backward tile kernel share: the alphas of one Gaussian on one tile.
//
// Both go Gaussian by Gaussian, in two phases: first the alpha of every span of L pixels into a small buffer (no
// branch that depends on data), then the compositing over that list. Spans start at the Gaussian's own first pixel.
#pragma once
#include "frame.h"
#include "simd.h"

namespace tb::TB_ISA {

constexpr float kMaxAlpha = 0.999f;          // gsplat's cap
constexpr float kMinTransmittance = 1e-4f;   // a Gaussian that would take a pixel to this or below is not drawn
constexpr float kMinLog2Alpha = -7.994353436858858f;  // 1/255
constexpr int kMaxSpans = kTileH * (kTileW / L + 1);

struct Spans {
    alignas(64) float alpha[kMaxSpans * L];
    int at[kMaxSpans];                     // offset of lane 0 in the tile's memory
    float dx[kMaxSpans], dy[kMaxSpans];    // of lane 0 from the Gaussian's mean
};

// The part of the image a tile covers, and the rows still of interest.
struct Tile {
    int index, x, y, width, height;
    int first_entry, end_entry;
    int row0, row1;  // inclusive
};

static inline Tile tile_at(const Frame& f, int index) {
    Tile t;
    t.index = index;
    t.x = index % f.tiles_x * kTileW;
    t.y = index / f.tiles_x * kTileH;
    t.width = imin(kTileW, f.width - t.x);
    t.height = imin(kTileH, f.height - t.y);
    t.first_entry = f.tile_start.data[index];
    t.end_entry = f.tile_start.data[index + 1];
    t.row0 = 0;
    t.row1 = t.height - 1;
    return t;
}

static inline float color_of(const Frame& f, const Record& g, int gaussian, int k) {
    return k < kInlineChannels ? g.color[k]
                               : f.more_colors.data[static_cast<int64_t>(gaussian) * kMoreChannels + k - kInlineChannels];
}

static inline vf alpha_of(vf log2_alpha) {
    return zero_unless(log2_alpha >= kMinLog2Alpha, vmin(vexp2(log2_alpha), splat(kMaxAlpha)));
}

// Gaussians narrower than a vector: one span per row.
template <bool Offsets>
static inline int narrow_spans(const Record& g, const Tile& t, int x0, int y0, int y1, Spans& spans) {
    const float dx0 = x0 + t.x + 0.5f - g.mx;
    const vf dx = lanes() + dx0, quadratic = g.a * dx * dx + g.lo, linear = g.b * dx;
    float dy = y0 + t.y + 0.5f - g.my;
    int n = 0;
    for (int y = y0; y <= y1; y++, n++, dy += 1.f) {
        store(spans.alpha + n * L, alpha_of(dy * (g.c * dy + linear) + quadratic));
        spans.at[n] = y * kRow + x0;
        if (Offsets) {
            spans.dx[n] = dx0;
            spans.dy[n] = dy;
        }
    }
    return n;
}

// Fills the list for Gaussian g, with the offsets dx, dy if asked for; returns its length.
template <bool Offsets>
static inline int find_spans(const Record& g, const Tile& t, Spans& spans) {
    const int y0 = imax(t.row0, g.y0 - t.y), y1 = imin(t.row1, g.y1 - t.y);
    const int x0 = imax(0, g.x0 - t.x), x1 = imin(t.width - 1, g.x1 - t.x);
    if (x1 - x0 < L) return narrow_spans<Offsets>(g, t, x0, y0, y1, spans);
    const float mx = g.mx - t.x - 0.5f, my = g.my - t.y - 0.5f;
    alignas(32) int32_t from[kTileH + L], to[kTileH + L];  // pixels of each row inside the ellipse
    for (int y = y0; y <= y1; y += L) {
        const vf dy = lanes() + (y - my), half = vsqrt(vmax(g.span - g.taper * dy * dy, splat(0.f)));
        const vf middle = mx - g.shear * dy;
        store(from + y - y0, to_int(vceil(clamp(middle - half, static_cast<float>(x0), kTileW))));
        store(to + y - y0, to_int(vfloor(clamp(middle + half, -1.f, static_cast<float>(x1)))));
    }
    int n = 0;
    float dy = y0 - my;
    for (int y = y0; y <= y1; y++, dy += 1.f) {
        const float linear = g.b * dy, constant = g.c * dy * dy + g.lo;
        const int end = to[y - y0];
        float dx0 = from[y - y0] - mx;
        for (int x = from[y - y0]; x <= end; x += L, dx0 += L, n++) {
            const vf dx = lanes() + dx0;
            store(spans.alpha + n * L, alpha_of((g.a * dx + linear) * dx + constant));
            spans.at[n] = y * kRow + x;
            if (Offsets) {
                spans.dx[n] = dx0;
                spans.dy[n] = dy;
            }
        }
    }
    return n;
}

// Calls kernel<channels>() for the frame's variant.
#define TB_FOR_CHANNELS(frame, CALL)                          \
    switch ((frame).lanes) {                                  \
        case 1: CALL(1); break;                               \
        case 2: CALL(2); break;                               \
        case 3: CALL(3); break;                               \
        case 4: CALL(4); break;                               \
        case 5: CALL(5); break;                               \
        case 6: CALL(6); break;                               \
        case 7: CALL(7); break;                               \
        case 8: CALL(8); break;                               \
        case 12: CALL(12); break;                             \
        default: CALL(16); break;                             \
    }

}  // namespace tb::TB_ISA
