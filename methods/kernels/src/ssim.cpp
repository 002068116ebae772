// Structural similarity (Wang et al. 2004) with an 11 x 11 Gaussian window, sigma 1.5, zero padding, and mean absolute
// difference, in one pass each way. Separable: a strip of rows is blurred down its columns into a small buffer, then
// along its rows. Only four maps need blurring, as x^2 and y^2 enter as a sum.
#include "kernels.h"
#include "pool.h"
#include "simd.h"

namespace tb::TB_ISA {
namespace {

constexpr int kTaps = 11, kReach = 5;
constexpr int kStrip = 256;                            // output columns at a time
constexpr int kStripRow = kStrip + 2 * kReach + 2 * 8; // with the halo and room for whole vectors
constexpr float kC1 = 1e-4f, kC2 = 9e-4f;              // (0.01)^2, (0.03)^2 for images in [0, 1]

// exp(-d^2 / (2 * 1.5^2)), normalised to sum 1
constexpr float kWindow[kTaps] = {0.00102838f, 0.00759876f, 0.03600077f, 0.10936069f, 0.21300554f, 0.26601172f,
                                  0.21300554f, 0.10936069f, 0.03600077f, 0.00759876f, 0.00102838f};

// Access to whole vectors, and to the first `count` lanes at the right edge of an image.
struct Whole {
    vf load(const float* p) const { return TB_ISA::load(p); }
    void store(float* p, vf v) const { TB_ISA::store(p, v); }
};
struct Part {
    int count;
    vf load(const float* p) const {
        float lane[L] = {};
        for (int l = 0; l < count; l++) lane[l] = p[l];
        return TB_ISA::load(lane);
    }
    void store(float* p, vf v) const {
        for (int l = 0; l < count; l++) p[l] = v[l];
    }
};

// Calls body(access, i) for i = first, first + L, ... < end.
template <class Body>
inline void for_vectors(int first, int end, Body&& body) {
    int i = first;
    for (; i + L <= end; i += L) body(Whole{}, i);
    if (i < end) body(Part{end - i}, i);
}

// The rows within reach of row y, with weight zero where there is none.
struct Column {
    int64_t row[kTaps];  // offsets into a plane
    float weight[kTaps];
};

Column column_at(int y, int height, int64_t stride) {
    Column c;
    for (int d = 0; d < kTaps; d++) {
        const int from = y + d - kReach;
        const bool inside = from >= 0 && from < height;
        c.row[d] = (inside ? from : y) * stride;
        c.weight[d] = inside ? kWindow[d] : 0.f;
    }
    return c;
}

// Blurs M maps down the columns. fetch(access, offset, values) gives the maps' values at the pixels of one vector.
// out[m][8 + i] is column x0 + i; columns outside the image are zero.
template <int M, class Fetch>
inline void blur_down(const Column& c, int x0, int width, float (*out)[kStripRow], Fetch&& fetch) {
    const int first = imax(0, x0 - kReach), end = imin(width, x0 + kStrip + kReach);
    for (int m = 0; m < M; m++) {
        for (int i = 0; i < 8 + first - x0; i++) out[m][i] = 0.f;
        for (int i = 8 + end - x0; i < kStripRow; i++) out[m][i] = 0.f;
    }
    for_vectors(first, end, [&](auto access, int x) {
        vf sum[M];
        for (vf& s : sum) s = splat(0.f);
        for (int d = 0; d < kTaps; d++) {
            vf value[M];
            fetch(access, c.row[d] + x, value);
            for (int m = 0; m < M; m++) sum[m] = c.weight[d] * value[m] + sum[m];
        }
        for (int m = 0; m < M; m++) access.store(out[m] + 8 + x - x0, sum[m]);
    });
}

// Blurs along the row: the value at column i of the strip.
vf blur_along(const float* row, int i) {
    const float* p = row + 8 - kReach + i;
    vf sum = kWindow[kReach] * load(p + kReach);
    for (int d = 0; d < kReach; d++) sum = kWindow[d] * (load(p + d) + load(p + 2 * kReach - d)) + sum;
    return sum;
}

// SSIM at L pixels from the four blurred maps, and its derivatives by the blurred x, x^2 and xy.
struct Similarity {
    vf value, by_x, by_xx, by_xy;
};

Similarity similarity(vf mx, vf my, vf squares, vf product) {
    const vf mxy = mx * my, mm = mx * mx + my * my;
    const vf a = 2.f * mxy + kC1, b = 2.f * (product - mxy) + kC2, ic = 1.f / (mm + kC1), id = 1.f / (squares - mm + kC2);
    Similarity s;
    s.value = a * b * ic * id;
    s.by_xx = -s.value * id;
    s.by_xy = 2.f * a * ic * id;
    s.by_x = 2.f * my * b * ic * id - 2.f * mx * s.value * ic - s.by_xy * my - 2.f * s.by_xx * mx;
    return s;
}

struct Task {
    int64_t first_row;  // of the plane, counted through all planes
    int row0, row1;
};

Task task_at(const ImagePair& p, int index) {
    const int bands = (p.height + kSsimRows - 1) / kSsimRows, row0 = index % bands * kSsimRows;
    return {static_cast<int64_t>(index / bands) * p.height, row0, imin(p.height, row0 + kSsimRows)};
}

// Sums of SSIM and |x - y|; with `maps`, the scaled derivative maps for the second pass, in rows of ssim_row.
void measure(const ImagePair& p, int index, float scale, float* maps, double* sums) {
    const Task t = task_at(p, index);
    const float *x = p.x + t.first_row * p.width, *y = p.y + t.first_row * p.width;
    const int64_t size = ssim_scratch(p) / 3, stride = ssim_row(p);
    double similar = 0, distance = 0;
    alignas(64) float blurred[4][kStripRow];
    for (int row = t.row0; row < t.row1; row++) {
        const Column c = column_at(row, p.height, p.width);
        for (int x0 = 0; x0 < p.width; x0 += kStrip) {
            blur_down<4>(c, x0, p.width, blurred, [&](auto access, int64_t at, vf* v) {
                const vf a = access.load(x + at), b = access.load(y + at);
                v[0] = a;
                v[1] = b;
                v[2] = a * a + b * b;
                v[3] = a * b;
            });
            vf total = splat(0.f), apart = splat(0.f);
            const int columns = imin(kStrip, p.width - x0);
            for_vectors(0, columns, [&](auto access, int i) {
                const Similarity s = similarity(blur_along(blurred[0], i), blur_along(blurred[1], i),
                                                blur_along(blurred[2], i), blur_along(blurred[3], i));
                const int64_t at = static_cast<int64_t>(row) * p.width + x0 + i;
                const vf difference = access.load(x + at) - access.load(y + at);
                total += zero_unless(lanes() < static_cast<float>(columns - i), s.value);
                apart += vmax(difference, -difference);
                if (!maps) return;
                float* to = maps + (t.first_row + row) * stride + x0 + i;
                access.store(to, scale * s.by_x);
                access.store(to + size, scale * s.by_xx);
                access.store(to + 2 * size, scale * s.by_xy);
            });
            for (int l = 0; l < L; l++) {
                similar += total[l];
                distance += apart[l];
            }
        }
    }
    sums[2 * index] = similar;
    sums[2 * index + 1] = distance;
}

void differentiate(const ImagePair& p, int index, float l1_scale, const float* maps, float* grad) {
    const Task t = task_at(p, index);
    const int64_t size = ssim_scratch(p) / 3, stride = ssim_row(p);
    const float *by_x = maps + t.first_row * stride, *by_xx = by_x + size, *by_xy = by_xx + size;
    alignas(64) float blurred[3][kStripRow];
    for (int row = t.row0; row < t.row1; row++) {
        const Column c = column_at(row, p.height, stride);
        for (int x0 = 0; x0 < p.width; x0 += kStrip) {
            blur_down<3>(c, x0, p.width, blurred, [&](auto access, int64_t at, vf* v) {
                v[0] = access.load(by_x + at);
                v[1] = access.load(by_xx + at);
                v[2] = access.load(by_xy + at);
            });
            for_vectors(0, imin(kStrip, p.width - x0), [&](auto access, int i) {
                const int64_t at = (t.first_row + row) * p.width + x0 + i;
                const vf x = access.load(p.x + at), y = access.load(p.y + at);
                const vf sign = zero_unless(x > y, splat(1.f)) - zero_unless(x < y, splat(1.f));
                access.store(grad + at, blur_along(blurred[0], i) + 2.f * x * blur_along(blurred[1], i) +
                                            y * blur_along(blurred[2], i) + l1_scale * sign);
            });
        }
    }
}

}  // namespace

void ssim(const ImagePair& p, float l1_weight, float ssim_weight, float* scratch, double* sums, float* grad) {
    const float count = static_cast<float>(p.planes) * p.height * p.width;
    float* maps = grad ? scratch : nullptr;
    parallel(ssim_tasks(p), [&](int index) { measure(p, index, ssim_weight / count, maps, sums); });
    if (grad) parallel(ssim_tasks(p), [&](int index) { differentiate(p, index, l1_weight / count, maps, grad); });
}

}  // namespace tb::TB_ISA
