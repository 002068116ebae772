// Footprints to the tile kernels' records, and the tile kernels' gradient slots back to footprints.
#include "kernels.h"
#include "pool.h"
#include "simd.h"

namespace tb::TB_ISA {
namespace {

constexpr float kLog2Of255 = 7.994353436858858f, kTwoLn2 = 1.3862943611198906f, kLog2E = 1.4426950408889634f;

// Copies the colours of Gaussian j; returns zero, or NaN if one of them is not finite.
float copy_color(Frame& f, const float* colors, int64_t j) {
    const float* from = colors + j * f.channels;
    Record& record = f.records.data[j];
    float zero = 0.f;
    for (int k = 0; k < f.channels; k++) zero += 0.f * from[k];
    for (int k = 0; k < kInlineChannels; k++) record.color[k] = k < f.channels ? from[k] : 0.f;
    if (f.channels > kInlineChannels) {
        float* more = f.more_colors.data + j * kMoreChannels;
        for (int k = kInlineChannels; k < f.lanes; k++) more[k - kInlineChannels] = k < f.channels ? from[k] : 0.f;
    }
    return zero;
}

void write_record(Frame& f, int64_t j, const float* row, const int32_t* box, float depth) {
    Record& r = f.records.data[j];
    float* head = &r.mx;
    for (int k = 0; k < 9; k++) head[k] = row[k];
    r.x0 = static_cast<int16_t>(box[0]);
    r.x1 = static_cast<int16_t>(box[1]);
    r.y0 = static_cast<int16_t>(box[2]);
    r.y1 = static_cast<int16_t>(box[3]);
    f.ranges.data[j] = {static_cast<int16_t>(box[0] / kTileW), static_cast<int16_t>(box[1] / kTileW),
                        static_cast<int16_t>(box[2] / kTileH), static_cast<int16_t>(box[3] / kTileH)};
    __builtin_memcpy(&f.depth_keys.data[j], &depth, 4);
}

// First and last pixel whose centre lies within reach of the middle, inside the image.
void pixel_span(vf middle, vf reach, int size, vf* first, vf* last) {
    *first = vmax(vceil(clamp(middle - reach - 0.5f, -1.f, size + 1.f)), splat(0.f));
    *last = vmin(vfloor(clamp(middle + reach - 0.5f, -2.f, size + 1.f)), splat(size - 1.f));
}

bool pack_block(Frame& f, const Footprints& in, const float* opacities, const float* colors, int i) {
    const int n = f.n;
    const auto column = [&](const float* p, int stride) { return load_column(p, stride, i, n); };
    const vf mx = column(in.means2d, 2), my = column(in.means2d + 1, 2);
    const vf a = column(in.conics, 3), b = column(in.conics + 1, 3), c = column(in.conics + 2, 3);
    const vf var_x = column(in.variances, 2), var_y = column(in.variances + 1, 2);
    const vf lo = vlog2(vmax(column(opacities, 1), splat(1e-20f)));
    const vf reach2 = vmax(kTwoLn2 * (lo + kLog2Of255), splat(0.f));  // squared Mahalanobis distance of alpha = 1/255
    vf x0, x1, y0, y1;
    pixel_span(mx, vsqrt(reach2 * var_x), f.width, &x0, &x1);
    pixel_span(my, vsqrt(reach2 * var_y), f.height, &y0, &y1);
    const vf ia = 1.f / a;
    const vf columns[9] = {mx, my, -0.5f * kLog2E * a, -kLog2E * b, -0.5f * kLog2E * c, lo,
                           reach2 * ia, ia / var_y, b * ia};
    const vi box[4] = {to_int(x0), to_int(x1), to_int(y0), to_int(y1)};
    float zero = 0.f;
    for (int l = 0; l < L && i + l < n; l++) {
        const int64_t j = i + l;
        zero += copy_color(f, colors, j);
        if (in.radii[j] <= 0 || box[0][l] > box[1][l] || box[2][l] > box[3][l]) {
            f.depth_keys.data[j] = kCulled;
            f.ranges.data[j] = {0, -1, 0, -1};
            continue;
        }
        float row[9];
        int32_t corners[4];
        for (int k = 0; k < 9; k++) row[k] = columns[k][l];
        for (int k = 0; k < 4; k++) corners[k] = box[k][l];
        write_record(f, j, row, corners, in.depths[j]);
    }
    return !(zero == 0.f);
}

// Sum of the slots of Gaussian i, always in the same order; at most kMaxSlot floats.
constexpr int kMaxSlot = 24;
void sum_slots(const Frame& f, int i, float* sum) {
    vf total[kMaxSlot / L];
    const int parts = f.slot / L;
    for (int k = 0; k < parts; k++) total[k] = splat(0.f);
    for (int pair = f.first_pair.data[i]; pair < f.first_pair.data[i + 1]; pair++) {
        const int ahead = f.pair_entry.data[imin(pair + 16, f.pairs - 1)];
        __builtin_prefetch(f.slots.data + static_cast<int64_t>(ahead) * f.slot);
        const float* slot = f.slots.data + static_cast<int64_t>(f.pair_entry.data[pair]) * f.slot;
        for (int k = 0; k < parts; k++) total[k] += load(slot + k * L);
    }
    for (int k = 0; k < parts; k++) store(sum + k * L, total[k]);
}

}  // namespace

bool pack(Frame& f, const Footprints& in, const float* opacities, const float* colors) {
    int bad = 0;
    parallel((f.n + kChunk - 1) / kChunk, [&](int chunk) {
        const int end = imin(f.n, (chunk + 1) * kChunk);
        for (int i = chunk * kChunk; i < end; i += L)
            if (pack_block(f, in, opacities, colors, i)) __atomic_store_n(&bad, 1, __ATOMIC_RELAXED);
    });
    return bad != 0;
}

// Slots hold v = d(loss)/d(sigma) summed over pixels with weights 1, dx, dy, dx^2, dx dy, dy^2, then the colours'
// gradients; sigma = (A dx^2 + C dy^2)/2 + B dx dy, alpha = opacity exp(-sigma).
void collect(const Frame& f, const float* conics, const float* opacities, const FootprintGrads& out) {
    parallel((f.n + kChunk - 1) / kChunk, [&](int chunk) {
        const int end = imin(f.n, (chunk + 1) * kChunk);
        for (int64_t i = chunk * kChunk; i < end; i++) {
            float s[kMaxSlot] = {};
            const bool drawn = f.first_pair.data[i + 1] > f.first_pair.data[i];
            if (drawn) sum_slots(f, static_cast<int>(i), s);
            const float a = conics[i * 3], b = conics[i * 3 + 1], c = conics[i * 3 + 2];
            out.means2d[i * 2] = -(a * s[1] + b * s[2]);
            out.means2d[i * 2 + 1] = -(b * s[1] + c * s[2]);
            out.conics[i * 3] = 0.5f * s[3];
            out.conics[i * 3 + 1] = s[4];
            out.conics[i * 3 + 2] = 0.5f * s[5];
            out.opacities[i] = drawn ? -s[0] / opacities[i] : 0.f;
            for (int k = 0; k < f.channels; k++) out.colors[i * f.channels + k] = s[6 + k];
        }
    });
}

}  // namespace tb::TB_ISA
