// Tri-plane grid encoder: three planes of 2-d multi-resolution grids (Instant-NGP's, as torch-ngp's `gridencoder`
// addresses them), one feature a level, fused forward and backward.
#include "kernels.h"
#include "pool.h"
#include "simd.h"

namespace tb::TB_ISA {
namespace {

typedef uint32_t vu __attribute__((vector_size(4 * L)));

constexpr int kAxes[3][2] = {{0, 1}, {1, 2}, {0, 2}};  // xy, yz, xz
constexpr int kPoints = 128;                           // per task: coordinates and features stay in the L1 cache
constexpr int kMaxLevels = 16;

// A chunk of points: coordinates mapped to [0,1] (0 where outside), and for each plane whether a point is inside.
struct Points {
    alignas(64) float u[3][kPoints];
    alignas(64) int32_t inside[3][kPoints];
};

void read_points(const Grid& grid, const float* x, int first, int n, Points& p) {
    const float half = 0.5f / grid.bound;
    for (int i = 0; i < n; i += L) {
        vi inside[3];
        for (int axis = 0; axis < 3; axis++) {
            const vf u = load_column(x + static_cast<int64_t>(first) * 3 + axis, 3, i, n) * half + 0.5f;
            inside[axis] = (u >= 0.f) & (u <= 1.f);  // false for NaN
            store(p.u[axis] + i, zero_unless(inside[axis], u));
        }
        for (int plane = 0; plane < 3; plane++)
            store(p.inside[plane] + i, inside[kAxes[plane][0]] & inside[kAxes[plane][1]]);
    }
}

struct Cell {
    vf fx, fy;                // position inside the cell
    vi i00, i10, i01, i11;    // table entries of its corners
};

Cell find_cell(const GridLevel& level, vf u, vf v) {
    const vf px = u * level.scale + 0.5f, py = v * level.scale + 0.5f;
    const vi ix = to_int(px), iy = to_int(py);  // px, py >= 0.5: truncation is floor
    Cell c;
    c.fx = px - to_float(ix);
    c.fy = py - to_float(iy);
    if (level.row) {
        c.i00 = ix + iy * level.row + level.offset;
        c.i01 = c.i00 + level.row;
        c.i10 = c.i00 + 1;
        c.i11 = c.i01 + 1;
    } else {  // Instant-NGP's hash, primes 1 and 2654435761
        const vu x0 = (vu)ix, x1 = x0 + 1u, y0 = (vu)iy * 2654435761u, y1 = y0 + 2654435761u;
        const uint32_t mask = static_cast<uint32_t>(level.length) - 1;
        c.i00 = (vi)((x0 ^ y0) & mask) + level.offset;
        c.i10 = (vi)((x1 ^ y0) & mask) + level.offset;
        c.i01 = (vi)((x0 ^ y1) & mask) + level.offset;
        c.i11 = (vi)((x1 ^ y1) & mask) + level.offset;
    }
    return c;
}

void forward_chunk(const Grid& grid, const float* x, int first, int n, float* out) {
    Points p;
    alignas(64) float features[3 * kMaxLevels][kPoints];
    read_points(grid, x, first, n, p);
    const int width = 3 * grid.levels;
    for (int k = 0; k < width; k++) {
        const int plane = k / grid.levels;
        const GridLevel& level = grid.level[k % grid.levels];
        const float *table = grid.table + static_cast<int64_t>(plane) * grid.plane_entries;
        const float *u = p.u[kAxes[plane][0]], *v = p.u[kAxes[plane][1]];
        for (int i = 0; i < n; i += L) {
            const Cell c = find_cell(level, load(u + i), load(v + i));
            const vf t00 = gather(table, c.i00), t10 = gather(table, c.i10);
            const vf t01 = gather(table, c.i01), t11 = gather(table, c.i11);
            const vf low = c.fx * (t10 - t00) + t00, high = c.fx * (t11 - t01) + t01;
            store(features[k] + i, zero_unless(load(p.inside[plane] + i), c.fy * (high - low) + low));
        }
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < width; k++) out[(static_cast<int64_t>(first) + i) * width + k] = features[k][i];
}

// Backward, first pass: coordinates and gradients of a chunk, feature by feature, to scratch; gradient of the points.
struct Scratch {
    int64_t stride;    // padded number of points
    float* u;          // [3, stride]
    float* g;          // [3 * levels, stride], zero outside the plane and past the end
};

void transpose_grad(const Points& p, const float* g_out, int levels, int first, int n, const Scratch& s) {
    const int width = 3 * levels, end = static_cast<int>(padded(n));
    for (int axis = 0; axis < 3; axis++)
        for (int i = 0; i < end; i++) s.u[axis * s.stride + first + i] = i < n ? p.u[axis][i] : 0.f;
    for (int k = 0; k < width; k++) {
        float* row = s.g + k * s.stride + first;
        const int32_t* inside = p.inside[k / levels];
        for (int i = 0; i < end; i++)
            row[i] = i < n && inside[i] ? g_out[(static_cast<int64_t>(first) + i) * width + k] : 0.f;
    }
}

void point_grad(const Grid& grid, const Points& p, int first, int n, const Scratch& s, float* g_x) {
    for (int i = 0; i < n; i += L) {
        vf sum[3] = {splat(0.f), splat(0.f), splat(0.f)};
        for (int k = 0; k < 3 * grid.levels; k++) {
            const int plane = k / grid.levels, a = kAxes[plane][0], b = kAxes[plane][1];
            const GridLevel& level = grid.level[k % grid.levels];
            const float* table = grid.table + static_cast<int64_t>(plane) * grid.plane_entries;
            const Cell c = find_cell(level, load(p.u[a] + i), load(p.u[b] + i));
            const vf t00 = gather(table, c.i00), t10 = gather(table, c.i10);
            const vf t01 = gather(table, c.i01), t11 = gather(table, c.i11);
            const vf g = load(s.g + k * s.stride + first + i) * level.scale, mixed = (t11 - t01) - (t10 - t00);
            sum[a] += g * ((t10 - t00) + c.fy * mixed);
            sum[b] += g * ((t01 - t00) + c.fx * mixed);
        }
        const float half = 0.5f / grid.bound;
        for (int l = 0; l < L && i + l < n; l++)
            for (int axis = 0; axis < 3; axis++)
                g_x[(static_cast<int64_t>(first) + i + l) * 3 + axis] = sum[axis][l] * half;
    }
}

// Second pass: one level of one plane belongs to one task, points in order, so the sums never depend on the threads.
void table_grad(const Grid& grid, int k, const Scratch& s, float* g_table) {
    const int plane = k / grid.levels;
    const GridLevel& level = grid.level[k % grid.levels];
    float* table = g_table + static_cast<int64_t>(plane) * grid.plane_entries;
    const float *u = s.u + kAxes[plane][0] * s.stride, *v = s.u + kAxes[plane][1] * s.stride, *grad = s.g + k * s.stride;
    __builtin_memset(table + level.offset, 0, sizeof(float) * level.length);
    for (int64_t i = 0; i < s.stride; i += L) {
        const Cell c = find_cell(level, load(u + i), load(v + i));
        const vf g = load(grad + i), right = c.fx * g, left = g - right, top_right = right * c.fy, top_left = left * c.fy;
        const vf bottom_left = left - top_left, bottom_right = right - top_right;
        for (int l = 0; l < L; l++) {
            table[c.i00[l]] += bottom_left[l];
            table[c.i10[l]] += bottom_right[l];
            table[c.i01[l]] += top_left[l];
            table[c.i11[l]] += top_right[l];
        }
    }
}

}  // namespace

void grid_forward(const Grid& grid, int n, const float* x, float* out) {
    parallel((n + kPoints - 1) / kPoints, [&](int chunk) {
        const int first = chunk * kPoints;
        forward_chunk(grid, x, first, imin(kPoints, n - first), out);
    });
}

void grid_backward(const Grid& grid, int n, const float* x, const float* g_out, float* scratch, float* g_table,
                   float* g_x) {
    const int64_t stride = padded(n);
    const Scratch s{stride, scratch, scratch + 3 * stride};
    parallel((n + kPoints - 1) / kPoints, [&](int chunk) {
        const int first = chunk * kPoints, count = imin(kPoints, n - first);
        Points p;
        read_points(grid, x, first, count, p);
        transpose_grad(p, g_out, grid.levels, first, count, s);
        if (g_x) point_grad(grid, p, first, count, s, g_x);
    });
    parallel(3 * grid.levels, [&](int k) { table_grad(grid, k, s, g_table); });
}

}  // namespace tb::TB_ISA
