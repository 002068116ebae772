// Products of small matrices: one register tile, R rows times two vectors of columns, serves Y = X W^T, dX = dY W and
// dW = dY^T X. The right-hand side lies in stripes of columns, so that a tile reads it from front to back.
#pragma once
#include <cstdint>

#include "simd.h"

namespace tb::TB_ISA {

constexpr int kRows = 6;               // rows of a tile: 12 sums, 2 columns and 1 factor fill 16 registers
constexpr int kStripe = 16;            // columns that are packed together; a multiple of 2 L

// Distances of neighbours in a column (row) and in a row (step), and how many of the latter there are.
struct Matrix {
    const float* data;
    int64_t row, step;
    int depth;
};

// A left-hand side that lies in memory in up to four parts side by side.
struct Joined {
    Matrix part[4];
    int parts;
};

static inline Joined whole(const float* data, int64_t row, int64_t step, int depth) {
    Joined a;
    a.part[0] = {data, row, step, depth};
    a.parts = 1;
    return a;
}

enum class End { kStore, kRelu, kAdd };

// c[m][j] = sum over k of a(m, k) b[k][j] for R rows and 2 L columns.
template <int R, End E>
static inline void tile(const Joined& joined, int first, const float* b, int64_t b_row, float* c, int64_t c_row) {
    vf sum[R][2];
    for (int m = 0; m < R; m++) sum[m][0] = sum[m][1] = splat(0.f);
    for (int part = 0; part < joined.parts; part++) {
        const int64_t row = joined.part[part].row, step = joined.part[part].step;
        const float* a = joined.part[part].data + first * row;
        for (int k = joined.part[part].depth; k > 0; k--, a += step, b += b_row) {
            const vf b0 = load(b), b1 = load(b + L);
            for (int m = 0; m < R; m++) {
                const vf factor = splat(a[m * row]);
                sum[m][0] = factor * b0 + sum[m][0];
                sum[m][1] = factor * b1 + sum[m][1];
            }
        }
    }
    for (int m = 0; m < R; m++)
        for (int j = 0; j < 2; j++) {
            float* to = c + m * c_row + j * L;
            vf value = sum[m][j];
            if (E == End::kRelu) value = vmax(splat(0.f), value);  // in this order NaN stays NaN
            if (E == End::kAdd) value += load(to);
            store(to, value);
        }
}

template <End E>
static inline void tile_rows(int rows, const Joined& a, int first, const float* b, int64_t b_row, float* c, int64_t c_row) {
    switch (rows) {
        case 1: return tile<1, E>(a, first, b, b_row, c, c_row);
        case 2: return tile<2, E>(a, first, b, b_row, c, c_row);
        case 3: return tile<3, E>(a, first, b, b_row, c, c_row);
        case 4: return tile<4, E>(a, first, b, b_row, c, c_row);
        case 5: return tile<5, E>(a, first, b, b_row, c, c_row);
        default: return tile<6, E>(a, first, b, b_row, c, c_row);
    }
}

// C [rows, columns] = A B; B is in stripes of kStripe columns, `stripe` floats apart, its rows b_row apart.
template <End E>
static inline void multiply(int rows, int columns, const Joined& a, const float* b, int64_t b_row, int64_t stripe, float* c,
                            int64_t c_row) {
    for (int j = 0; j < columns; j += 2 * L) {
        const float* columns_of_b = b + j / kStripe * stripe + j % kStripe;
        for (int i = 0; i < rows; i += kRows)
            tile_rows<E>(imin(kRows, rows - i), a, i, columns_of_b, b_row, c + i * c_row + j, c_row);
    }
}

// Weights [out, in] as stripes of columns of W^T (k runs over the inputs) or of W (k runs over the outputs), zero-padded.
static inline void pack_stripes(const float* w, int outputs, int inputs, bool transposed, float* packed) {
    const int depth = transposed ? inputs : outputs, columns = transposed ? outputs : inputs;
    for (int j = 0; j < columns; j += kStripe)
        for (int k = 0; k < depth; k++)
            for (int l = 0; l < kStripe; l++, packed++)
                *packed = j + l >= columns ? 0.f : transposed ? w[(j + l) * inputs + k] : w[k * inputs + j + l];
}

}  // namespace tb::TB_ISA
