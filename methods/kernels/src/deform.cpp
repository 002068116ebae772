// Canonical Gaussians plus their motion, to what the rasteriser takes: activations, offsets and spherical harmonics in one
// pass each way, where torch needs thirty small operations.
#include "kernels.h"
#include "pool.h"
#include "simd.h"

namespace tb::TB_ISA {
namespace {

constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;
constexpr float kC0 = 0.28209479177387814f, kC1 = 0.4886025119029199f;
constexpr int kBands = 9;          // of degree 2
constexpr int kScale = 8, kFull = 11;  // first offset of the scales, all offsets: position 3, rotation 4, opacity 1, scale 3

// e^x for x in [-87.3, 87.3], 4e-7 relative: whole powers of two are taken off in two steps, which loses no digits of x.
// NaN stays NaN: of vmin and vmax, the second argument wins.
vf vexp(vf x) {
    x = vmin(splat(87.3f), vmax(splat(-87.3f), x));
    const vf shifted = x * kLog2E + 12582912.f, n = shifted - 12582912.f;
    const vf rest = ((x - n * 0.693359375f) + n * 2.12194440e-4f) * kLog2E;
    return vexp2(rest) * (vf)((to_int(n) + 127) << 23);
}
vf sigmoid(vf x) { return 1.f / (1.f + vexp(-x)); }

// log(1 + exp(x)) to full relative accuracy, small values too: log1p(e) = log(u) e / (u - 1), u = 1 + e (Kahan)
vf softplus(vf x) {
    const vf e = vexp(vmin(x, -x)), u = 1.f + e, rest = u - 1.f;
    const vi tiny = rest == 0.f;
    const vf log1p = pick(tiny, e, kLn2 * vlog2(u) * e / pick(tiny, splat(1.f), rest));
    return vmax(splat(0.f), x) + log1p;
}

vf offset(const Motion& m, int column, int i, int n) {
    return m.width == kFull ? load_column(m.offsets + column, kFull, i, n) : splat(0.f);
}

// Spherical harmonics' basis along the unit direction from the camera, `bands` of them (1, 4 or 9).
void basis_at(const float* mean, const float* centre, int bands, float* basis) {
    float d[3], square = 0.f;
    for (int k = 0; k < 3; k++) {
        d[k] = mean[k] - centre[k];
        square += d[k] * d[k];
    }
    const float inverse = 1.f / __builtin_fmaxf(__builtin_sqrtf(square), 1e-12f), x = d[0] * inverse, y = d[1] * inverse,
                z = d[2] * inverse;
    const float all[kBands] = {kC0, -kC1 * y, kC1 * z, -kC1 * x,
                               1.0925484305920792f * x * y, -1.0925484305920792f * y * z,
                               0.31539156525252005f * (2.f * z * z - x * x - y * y),
                               -1.0925484305920792f * x * z, 0.5462742152960396f * (x * x - y * y)};
    for (int k = 0; k < kBands; k++) basis[k] = k < bands ? all[k] : 0.f;
}

float norm(const float* v, int width) {
    vf squares = splat(0.f);
    int j = 0;
    for (; j + L <= width; j += L) squares = load(v + j) * load(v + j) + squares;
    float total = 0.f;
    for (int l = 0; l < L; l++) total += squares[l];
    for (; j < width; j++) total += v[j] * v[j];
    return __builtin_sqrtf(total);
}

void color_forward(const Canonical& c, const Motion& m, int64_t i, const float* mean, float* color) {
    float basis[kBands];
    basis_at(mean, c.centre, c.bands, basis);
    float sum[3];
    for (int k = 0; k < 3; k++) sum[k] = basis[0] * c.f_dc[i * 3 + k] + 0.5f;
    const float* rest = c.f_rest + i * (kBands - 1) * 3;
    for (int b = 1; b < c.bands; b++)
        for (int k = 0; k < 3; k++) sum[k] += basis[b] * rest[(b - 1) * 3 + k];
    for (int k = 0; k < 3; k++) color[k] = sum[k] < 0.f ? 0.f : sum[k];
    for (int k = 0; k < m.codes; k++) color[3 + k] = norm(m.code[k] + i * m.code_width[k], m.code_width[k]);
}

void forward_lanes(const Canonical& c, const Motion& m, const Gaussians& out, int i) {
    const int count = imin(L, c.n - i);
    vf scale[3];
    for (int k = 0; k < 3; k++) scale[k] = softplus(load_column(c.scaling + k, 3, i, c.n) + offset(m, kScale + k, i, c.n));
    const vf opacity = sigmoid(load_column(c.opacity, 1, i, c.n));
    for (int l = 0; l < count; l++) {
        const int64_t j = i + l;
        const float* h = m.width ? m.offsets + j * m.width : nullptr;
        for (int k = 0; k < 3; k++) {
            out.means[j * 3 + k] = c.xyz[j * 3 + k] + (h ? m.axis[k] * h[k] : 0.f);
            out.scales[j * 3 + k] = scale[k][l];
        }
        for (int k = 0; k < 4; k++) out.quats[j * 4 + k] = c.rotation[j * 4 + k] + (m.width == kFull ? h[3 + k] : 0.f);
        out.opacities[j] = opacity[l];
        color_forward(c, m, j, out.means + j * 3, out.colors + j * (3 + m.codes));
    }
}

void color_backward(const Canonical& c, const Motion& m, const Gaussians& y, const Gaussians& g, const CanonicalGrads& out,
                    int64_t i) {
    const int channels = 3 + m.codes;
    const float *color = y.colors + i * channels, *from = g.colors + i * channels;
    float basis[kBands], open[3];
    for (int k = 0; k < 3; k++) open[k] = color[k] > 0.f ? from[k] : 0.f;
    if (out.f_dc) for (int k = 0; k < 3; k++) out.f_dc[i * 3 + k] = kC0 * open[k];
    if (out.f_rest) {
        basis_at(y.means + i * 3, c.centre, c.bands, basis);
        for (int b = 1; b < kBands; b++)
            for (int k = 0; k < 3; k++) out.f_rest[i * (kBands - 1) * 3 + (b - 1) * 3 + k] = basis[b] * open[k];
    }
    for (int k = 0; k < m.codes; k++) {
        if (!out.code[k]) continue;
        const int width = m.code_width[k];
        const float scale = color[3 + k] > 0.f ? from[3 + k] / color[3 + k] : 0.f;
        for (int j = 0; j < width; j++) out.code[k][i * width + j] = scale * m.code[k][i * width + j];
    }
}

float sign(float x) { return x > 0.f ? 1.f : x < 0.f ? -1.f : 0.f; }

void backward_lanes(const Canonical& c, const Motion& m, const Gaussians& y, const Gaussians& g, float g_size,
                    const CanonicalGrads& out, int i) {
    const int count = imin(L, c.n - i);
    vf scaling[3];
    for (int k = 0; k < 3; k++)
        scaling[k] = load_column(g.scales + k, 3, i, c.n) *
                     sigmoid(load_column(c.scaling + k, 3, i, c.n) + offset(m, kScale + k, i, c.n));
    for (int l = 0; l < count; l++) {
        const int64_t j = i + l;
        if (out.scaling) for (int k = 0; k < 3; k++) out.scaling[j * 3 + k] = scaling[k][l];
        if (out.opacity) out.opacity[j] = g.opacities[j] * y.opacities[j] * (1.f - y.opacities[j]);
        color_backward(c, m, y, g, out, j);
        if (!out.offsets) continue;
        float* to = out.offsets + j * m.width;
        for (int k = 0; k < m.width; k++) to[k] = g_size * m.weight[k] * sign(m.offsets[j * m.width + k]);
        for (int k = 0; k < 3; k++) to[k] += m.axis[k] * g.means[j * 3 + k];
        if (m.width != kFull) continue;
        for (int k = 0; k < 4; k++) to[3 + k] += g.quats[j * 4 + k];
        for (int k = 0; k < 3; k++) to[kScale + k] += scaling[k][l];
    }
}

}  // namespace

void deform(const Canonical& c, const Motion& m, const Gaussians& out, double* sums) {
    parallel((c.n + kChunk - 1) / kChunk, [&](int chunk) {
        const int end = imin(c.n, (chunk + 1) * kChunk);
        for (int i = chunk * kChunk; i < end; i += L) forward_lanes(c, m, out, i);
        double size = 0;
        for (int i = chunk * kChunk; m.width && i < end; i++)
            for (int k = 0; k < m.width; k++) size += m.weight[k] * __builtin_fabsf(m.offsets[static_cast<int64_t>(i) * m.width + k]);
        sums[chunk] = size;
    });
}

void deform_backward(const Canonical& c, const Motion& m, const Gaussians& y, const Gaussians& g, float g_size,
                     const CanonicalGrads& out) {
    parallel((c.n + kChunk - 1) / kChunk, [&](int chunk) {
        const int end = imin(c.n, (chunk + 1) * kChunk);
        for (int i = chunk * kChunk; i < end; i += L) backward_lanes(c, m, y, g, g_size, out, i);
    });
}

}  // namespace tb::TB_ISA
