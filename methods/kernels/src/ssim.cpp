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

// Loads or stores the first `count` lanes; the rest is zero or left alone.
vf load_some(const float* p, int count) {
    if (count >= L) return load(p);
    float lane[L] = {};
    for (int l = 0; l < count; l++) lane[l] = p[l];
    return load(lane);
}
void store_some(float* p, vf v, int count) {
    if (count >= L) return store(p, v);
    for (int l = 0; l < count; l++) p[l] = v[l];
}

// The rows within reach of row y, with weight zero where there is none.
struct Column {
    int64_t row[kTaps];  // offsets into a plane
    float weight[kTaps];
};

Column column_at(int y, int height, int width) {
    Column c;
    for (int d = 0; d < kTaps; d++) {
        const int from = y + d - kReach;
        const bool inside = from >= 0 && from < height;
        c.row[d] = static_cast<int64_t>(inside ? from : y) * width;
        c.weight[d] = inside ? kWindow[d] : 0.f;
    }
    return c;
}

// Blurs M maps down the columns. fetch(offset, count, values) gives the maps' values at L pixels of a row.
// out[m][8 + i] is column x0 + i; columns outside the image are zero.
template <int M, class Fetch>
void blur_down(const Column& c, int x0, int width, float (*out)[kStripRow], Fetch&& fetch) {
    const int first = imax(0, x0 - kReach), end = imin(width, x0 + kStrip + kReach);
    for (int m = 0; m < M; m++) {
        for (int i = 0; i < 8 + first - x0; i++) out[m][i] = 0.f;
        for (int i = 8 + end - x0; i < kStripRow; i++) out[m][i] = 0.f;
    }
    for (int x = first; x < end; x += L) {
        vf sum[M];
        for (vf& s : sum) s = splat(0.f);
        for (int d = 0; d < kTaps; d++) {
            vf value[M];
            fetch(c.row[d] + x, end - x, value);
            for (int m = 0; m < M; m++) sum[m] = c.weight[d] * value[m] + sum[m];
        }
        for (int m = 0; m < M; m++) store_some(out[m] + 8 + x - x0, sum[m], end - x);
    }
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
    int64_t plane;  // offset of the plane
    int row0, row1;
};

Task task_at(const ImagePair& p, int index) {
    const int bands = (p.height + kSsimRows - 1) / kSsimRows, row0 = index % bands * kSsimRows;
    return {static_cast<int64_t>(index / bands) * p.height * p.width, row0, imin(p.height, row0 + kSsimRows)};
}

// Sums of SSIM and |x - y|; with `maps`, the scaled derivative maps for the second pass, each one image in size.
void measure(const ImagePair& p, int index, float scale, float* maps, double* sums) {
    const Task t = task_at(p, index);
    const float *x = p.x + t.plane, *y = p.y + t.plane;
    const int64_t size = ssim_scratch(p) / 3;
    double similar = 0, distance = 0;
    alignas(64) float blurred[4][kStripRow];
    for (int row = t.row0; row < t.row1; row++) {
        const Column c = column_at(row, p.height, p.width);
        for (int x0 = 0; x0 < p.width; x0 += kStrip) {
            blur_down<4>(c, x0, p.width, blurred, [&](int64_t at, int count, vf* v) {
                const vf a = load_some(x + at, count), b = load_some(y + at, count);
                v[0] = a;
                v[1] = b;
                v[2] = a * a + b * b;
                v[3] = a * b;
            });
            vf total = splat(0.f), apart = splat(0.f);
            const int columns = imin(kStrip, p.width - x0);
            for (int i = 0; i < columns; i += L) {
                const Similarity s = similarity(blur_along(blurred[0], i), blur_along(blurred[1], i),
                                                blur_along(blurred[2], i), blur_along(blurred[3], i));
                const int64_t at = static_cast<int64_t>(row) * p.width + x0 + i;
                const vf difference = load_some(x + at, columns - i) - load_some(y + at, columns - i);
                total += zero_unless(lanes() < static_cast<float>(columns - i), s.value);
                apart += vmax(difference, -difference);
                if (!maps) continue;
                float* to = maps + t.plane + at;
                store_some(to, scale * s.by_x, columns - i);
                store_some(to + size, scale * s.by_xx, columns - i);
                store_some(to + 2 * size, scale * s.by_xy, columns - i);
            }
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
    const int64_t size = ssim_scratch(p) / 3;
    const float *by_x = maps + t.plane, *by_xx = by_x + size, *by_xy = by_xx + size;
    alignas(64) float blurred[3][kStripRow];
    for (int row = t.row0; row < t.row1; row++) {
        const Column c = column_at(row, p.height, p.width);
        for (int x0 = 0; x0 < p.width; x0 += kStrip) {
            blur_down<3>(c, x0, p.width, blurred, [&](int64_t at, int count, vf* v) {
                v[0] = load_some(by_x + at, count);
                v[1] = load_some(by_xx + at, count);
                v[2] = load_some(by_xy + at, count);
            });
            const int columns = imin(kStrip, p.width - x0);
            for (int i = 0; i < columns; i += L) {
                const int64_t at = t.plane + static_cast<int64_t>(row) * p.width + x0 + i;
                const vf x = load_some(p.x + at, columns - i), y = load_some(p.y + at, columns - i);
                const vf sign = zero_unless(x > y, splat(1.f)) - zero_unless(x < y, splat(1.f));
                const vf g = blur_along(blurred[0], i) + 2.f * x * blur_along(blurred[1], i) +
                             y * blur_along(blurred[2], i) + l1_scale * sign;
                store_some(grad + at, g, columns - i);
            }
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
