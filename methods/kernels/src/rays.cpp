// Volume rendering along rays: samples where the occupancy grid says that there is something, and their composite.
#include "kernels.h"
#include "pool.h"
#include "simd.h"

namespace tb::TB_ISA {
namespace {

constexpr float kFar = 1e30f;

// Where a ray is inside the box; false if it misses.
bool clip(const Occupancy& grid, const float* o, const float* d, float* enter, float* leave) {
    float from = -kFar, to = kFar;
    for (int axis = 0; axis < 3; axis++) {
        if (d[axis] == 0.f) {
            if (o[axis] < grid.low[axis] || o[axis] > grid.high[axis]) return false;
            continue;
        }
        const float a = (grid.low[axis] - o[axis]) / d[axis], b = (grid.high[axis] - o[axis]) / d[axis];
        const float first = a < b ? a : b, last = a < b ? b : a;
        from = first > from ? first : from;
        to = last < to ? last : to;
    }
    *enter = from > grid.near_limit ? from : grid.near_limit;
    *leave = to;
    return *enter < to;
}

// The cell that holds a point, and how far along the ray it ends.
struct Place {
    int64_t cell;
    float rest;
};

Place find(const Occupancy& grid, const float* o, const float* d, float t) {
    const float per_cell = 2.f * grid.bound / grid.side;
    Place place = {0, kFar};
    for (int axis = 0; axis < 3; axis++) {
        const float p = o[axis] + t * d[axis];
        int i = static_cast<int>((p + grid.bound) / per_cell);
        i = i < 0 ? 0 : i >= grid.side ? grid.side - 1 : i;
        place.cell = place.cell * grid.side + i;
        if (d[axis] == 0.f) continue;
        const float wall = (i + (d[axis] > 0.f)) * per_cell - grid.bound, rest = (wall - p) / d[axis];
        if (rest < place.rest) place.rest = rest;
    }
    return place;
}

int follow(const Occupancy& grid, const float* o, const float* d, float jitter, float* t) {
    float enter, leave;
    if (!clip(grid, o, d, &enter, &leave)) return 0;
    const float start = enter + jitter * grid.step;
    int count = 0;
    for (int k = 0; count < grid.most;) {
        const float at = start + k * grid.step;
        if (!(at < leave)) break;
        const Place place = find(grid, o, d, at);
        if (grid.cells[place.cell]) {
            t[count++] = at;
            k++;
        } else {  // whole steps, and never one too many: the last is looked up again
            const int jump = static_cast<int>(place.rest / grid.step);
            k += jump > 1 ? jump : 1;
        }
    }
    return count;
}

// 1 - exp(-x) of n values
void absorb(const float* optical, float* alpha, int64_t n) {
    constexpr float kLog2e = 1.44269504f;
    int64_t i = 0;
    for (; i + L <= n; i += L) store(alpha + i, 1.f - vexp2(vmax(load(optical + i) * -kLog2e, splat(-126.f))));
    for (; i < n; i++) {
        const vf one = vexp2(vmax(splat(optical[i] * -kLog2e), splat(-126.f)));
        alpha[i] = 1.f - one[0];
    }
}

int tasks(int n) { return (n + kRaysPerTask - 1) / kRaysPerTask; }

}  // namespace

void march(const Rays& rays, const Occupancy& grid, float* t, int32_t* counts) {
    parallel(tasks(rays.n), [&](int task) {
        const int end = imin(rays.n, (task + 1) * kRaysPerTask);
        for (int r = task * kRaysPerTask; r < end; r++)
            counts[r] = follow(grid, rays.origins + 3 * int64_t{r}, rays.directions + 3 * int64_t{r},
                               rays.jitter ? rays.jitter[r] : 0.f, t + int64_t{r} * grid.most);
    });
}

void shine(const RaySamples& rays, float* weights, float* out, float* opacity) {
    parallel(tasks(rays.n), [&](int task) {
        const int first = task * kRaysPerTask, end = imin(rays.n, first + kRaysPerTask);
        absorb(rays.optical + rays.offsets[first], weights + rays.offsets[first], rays.offsets[end] - rays.offsets[first]);
        for (int r = first; r < end; r++) {
            float* sum = out + int64_t{r} * rays.width;
            for (int k = 0; k < rays.width; k++) sum[k] = 0.f;
            float through = 1.f;
            int64_t s = rays.offsets[r];
            for (; s < rays.offsets[r + 1] && through >= rays.stop; s++) {
                const float weight = through * weights[s], *value = rays.values + s * rays.width;
                weights[s] = weight;
                for (int k = 0; k < rays.width; k++) sum[k] += weight * value[k];
                through -= weight;
            }
            for (; s < rays.offsets[r + 1]; s++) weights[s] = 0.f;
            opacity[r] = 1.f - through;
        }
    });
}

// With q = g_out . value + g_opacity of a sample, T what passes it: d/d optical = T q - (sum of weight q behind it)
void shine_backward(const RaySamples& rays, const float* weights, const float* g_out, const float* g_opacity, float* g_optical,
                    float* g_values) {
    parallel(tasks(rays.n), [&](int task) {
        const int end = imin(rays.n, (task + 1) * kRaysPerTask);
        for (int r = task * kRaysPerTask; r < end; r++) {
            const float *g = g_out + int64_t{r} * rays.width, all = g_opacity[r];
            float through = 1.f, behind = 0.f;
            const int64_t first = rays.offsets[r], last = rays.offsets[r + 1];
            int64_t stop = first;
            for (; stop < last && through >= rays.stop; stop++) through -= weights[stop];
            for (int64_t s = last - 1; s >= first; s--) {
                const float* value = rays.values + s * rays.width;
                float q = all;
                for (int k = 0; k < rays.width; k++) q += g[k] * value[k];
                g_optical[s] = s < stop ? through * q - behind : 0.f;
                if (s < stop) {
                    behind += weights[s] * q;
                    through += weights[s];
                }
                if (g_values)
                    for (int k = 0; k < rays.width; k++) g_values[s * rays.width + k] = weights[s] * g[k];
            }
        }
    });
}

}  // namespace tb::TB_ISA
