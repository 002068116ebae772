// Vectors of L floats, L being the machine's own width in the path this file is compiled for.
//
// Every kernel source is compiled twice: once for AVX2 + FMA (L = 8) and once for whatever the compiler may assume
// (L = 4: SSE2 on x86-64, NEON on ARM). TB_ISA names the namespace, so that the two never mix; for the same reason
// the kernels use no inline functions of the standard library, which a linker could merge across the two.
#pragma once
#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace tb::TB_ISA {

#if defined(__AVX2__)
constexpr int L = 8;
#else
constexpr int L = 4;
#endif

typedef float vf __attribute__((vector_size(4 * L)));
typedef int32_t vi __attribute__((vector_size(4 * L)));
typedef float vf_any __attribute__((vector_size(4 * L), aligned(4), may_alias));
typedef int32_t vi_any __attribute__((vector_size(4 * L), aligned(4), may_alias));

static inline int imin(int a, int b) { return a < b ? a : b; }
static inline int imax(int a, int b) { return a > b ? a : b; }

static inline vf load(const float* p) { return *reinterpret_cast<const vf_any*>(p); }
static inline vi load(const int32_t* p) { return *reinterpret_cast<const vi_any*>(p); }
static inline void store(float* p, vf v) { *reinterpret_cast<vf_any*>(p) = v; }
static inline void store(int32_t* p, vi v) { *reinterpret_cast<vi_any*>(p) = v; }

#if defined(__AVX2__)
static inline vf splat(float x) { return (vf)_mm256_set1_ps(x); }
static inline vi splat(int32_t x) { return (vi)_mm256_set1_epi32(x); }
static inline vf lanes() { return vf{0, 1, 2, 3, 4, 5, 6, 7}; }
static inline vf vmin(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
static inline vf vmax(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
static inline vf vsqrt(vf a) { return (vf)_mm256_sqrt_ps((__m256)a); }
static inline vf pick(vi mask, vf yes, vf no) { return (vf)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)mask); }
static inline int bits(vi mask) { return _mm256_movemask_ps((__m256)mask); }
static inline vf gather(const float* p, vi at) { return (vf)_mm256_i32gather_ps(p, (__m256i)at, 4); }
#else
static inline vf splat(float x) { return vf{x, x, x, x}; }
static inline vi splat(int32_t x) { return vi{x, x, x, x}; }
static inline vf lanes() { return vf{0, 1, 2, 3}; }
static inline vf pick(vi mask, vf yes, vf no) { return (vf)(((vi)yes & mask) | ((vi)no & ~mask)); }
static inline vf gather(const float* p, vi at) { return vf{p[at[0]], p[at[1]], p[at[2]], p[at[3]]}; }
#if defined(__SSE2__)
static inline vf vmin(vf a, vf b) { return (vf)_mm_min_ps((__m128)a, (__m128)b); }
static inline vf vmax(vf a, vf b) { return (vf)_mm_max_ps((__m128)a, (__m128)b); }
static inline vf vsqrt(vf a) { return (vf)_mm_sqrt_ps((__m128)a); }
static inline int bits(vi mask) { return _mm_movemask_ps((__m128)mask); }
#else
static inline vf vmin(vf a, vf b) { return pick(a < b, a, b); }
static inline vf vmax(vf a, vf b) { return pick(a > b, a, b); }
static inline vf vsqrt(vf a) {
    return vf{__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]), __builtin_sqrtf(a[3])};
}
static inline int bits(vi mask) {  // the sign bits
    int all = 0;
    for (int l = 0; l < L; l++) all |= (mask[l] < 0) << l;
    return all;
}
#endif
#endif

static inline vf zero_unless(vi mask, vf v) { return (vf)((vi)v & mask); }
static inline vf clamp(vf v, float low, float high) { return vmin(vmax(v, splat(low)), splat(high)); }
static inline vi to_int(vf v) { return __builtin_convertvector(v, vi); }    // towards zero
static inline vf to_float(vi v) { return __builtin_convertvector(v, vf); }

// floor and ceil of |v| < 2^31
static inline vf vfloor(vf v) {
    const vf t = to_float(to_int(v));
    return t - zero_unless(t > v, splat(1.f));
}
static inline vf vceil(vf v) { return -vfloor(-v); }

// Element i + lane of a row-wise array with the given stride; past the end (n) the last row is repeated.
static inline vf load_column(const float* p, int stride, int i, int n) {
    vf v;
    for (int l = 0; l < L; l++) v[l] = p[static_cast<int64_t>(imin(i + l, n - 1)) * stride];
    return v;
}

// 2^p for p in [-126, 126], 2e-7 relative: round to the nearest integer by adding 1.5 * 2^23, minimax polynomial for the rest
static inline vf vexp2(vf p) {
    const vf t = p + 12582912.f, f = p - (t - 12582912.f);
    vf r = f * 1.3264712e-3f + 9.6715129e-3f;
    r = r * f + 5.5507340e-2f;
    r = r * f + 2.4022242e-1f;
    r = r * f + 6.9314698e-1f;
    r = r * f + 1.f;
    return (vf)((vi)r + ((vi)t << 23));
}

// log2 of positive normal floats, 1e-7 absolute: exponent plus atanh series of the mantissa in [sqrt(1/2), sqrt(2))
static inline vf vlog2(vf a) {
    const vi e = ((vi)a - 0x3f3504f3) >> 23;
    const vf m = (vf)((vi)a - (e << 23)), s = (m - 1.f) / (m + 1.f), s2 = s * s;
    vf p = s2 * 0.2623082f + 0.3205989f;
    p = s2 * p + 0.4121986f;
    p = s2 * p + 0.5770780f;
    p = s2 * p + 0.9617967f;
    p = s2 * p + 2.8853901f;
    return to_float(e) + s * p;
}

// out[i] = sum over the lanes of v[i], i < 8
static inline void sum_lanes8(const vf* v, float* out) {
#if defined(__AVX2__)
    const auto add = [](vf a, vf b) { return _mm256_hadd_ps((__m256)a, (__m256)b); };
    const __m256 s01 = _mm256_hadd_ps(add(v[0], v[1]), add(v[2], v[3]));
    const __m256 s23 = _mm256_hadd_ps(add(v[4], v[5]), add(v[6], v[7]));
    _mm256_storeu_ps(out, _mm256_add_ps(_mm256_permute2f128_ps(s01, s23, 0x20), _mm256_permute2f128_ps(s01, s23, 0x31)));
#else
    for (int i = 0; i < 8; i++) out[i] = (v[i][0] + v[i][1]) + (v[i][2] + v[i][3]);
#endif
}

}  // namespace tb::TB_ISA
