// Small bias-free multilayer perceptrons with ReLU, a block of points at a time: the block's activations stay in the
// caches from the first layer to the last, and its input may come in several parts that are never joined in memory.
#include "gemm.h"
#include "kernels.h"
#include "pool.h"

namespace tb::TB_ISA {
namespace {

constexpr int kPoints = kMlpBlock;  // a multiple of kRows
constexpr int kWide = mlp_row(kMlpWidest);

// Rows `first`.. of the joined input in one place, rows past the end zero.
void read_input(const Mlp& net, int first, int count, float* x) {
    const int64_t row = mlp_row(net.width[0]);
    if (count < kPoints) __builtin_memset(x + count * row, 0, sizeof(float) * (kPoints - count) * row);
    for (int part = 0; part < net.parts; part++) {
        const int width = net.part_width[part];
        const float* from = net.part[part] + static_cast<int64_t>(first) * width;
        for (int i = 0; i < count; i++)
            for (int j = 0; j < width; j++) x[i * row + j] = from[i * width + j];
        x += width;
    }
}

// The same rows where they are.
Joined input_at(const Mlp& net, int first) {
    Joined a;
    a.parts = net.parts;
    for (int part = 0; part < net.parts; part++) {
        const int64_t width = net.part_width[part];
        a.part[part] = {net.part[part] + first * width, width, 1, net.part_width[part]};
    }
    return a;
}

struct Packed {
    const float* stripes[kMlpLayers];
};

Packed pack(const Mlp& net, bool transposed, float* scratch) {
    Packed p;
    for (int l = 0; l < net.layers; l++) {
        p.stripes[l] = scratch;
        pack_stripes(net.weight[l], net.width[l + 1], net.width[l], transposed, scratch);
        scratch += mlp_packed(net.width[l + 1], net.width[l]);
    }
    return p;
}

// y [kPoints, row of width[l + 1]] of layer l.
void layer_forward(const Mlp& net, int l, const Packed& p, const Joined& x, float* y) {
    const int inputs = net.width[l], outputs = net.width[l + 1];
    const int64_t row = mlp_row(outputs), stripe = int64_t{inputs} * kStripe;
    const bool relu = l + 1 < net.layers || net.relu_last, offset = l == 0 && net.offset;
    if (relu && !offset) return multiply<End::kRelu>(kPoints, outputs, x, p.stripes[l], kStripe, stripe, y, row);
    multiply<End::kStore>(kPoints, outputs, x, p.stripes[l], kStripe, stripe, y, row);
    if (!offset) return;
    for (int i = 0; i < kPoints; i++)
        for (int j = 0; j < outputs; j++) {
            const float value = y[i * row + j] + net.offset[j];
            y[i * row + j] = relu && value < 0.f ? 0.f : value;
        }
}

// Where layer l's output of a block is kept (l < layers - 1).
float* hidden_of(const Mlp& net, int l, int block, float* hidden) {
    for (int k = 0; k < l; k++) hidden += net.padded_points * mlp_row(net.width[k + 1]);
    return hidden + static_cast<int64_t>(block) * kPoints * mlp_row(net.width[l + 1]);
}

void forward_block(const Mlp& net, int block, const Packed& p, float* hidden, float* out) {
    alignas(64) float a[kPoints * kWide], b[kPoints * kWide];
    const int first = block * kPoints, count = imin(kPoints, net.points - first), outputs = net.width[net.layers];
    Joined x = input_at(net, first);
    if (count < kPoints) {
        read_input(net, first, count, a);
        x = whole(a, mlp_row(net.width[0]), 1, net.width[0]);
    }
    float *spare = b, *used = a;
    for (int l = 0; l < net.layers; l++) {
        const int64_t row = mlp_row(net.width[l + 1]);
        float* y = hidden && l + 1 < net.layers ? hidden_of(net, l, block, hidden) : spare;
        layer_forward(net, l, p, x, y);
        if (y == spare) {
            spare = used;
            used = y;
        }
        x = whole(y, row, 1, net.width[l + 1]);
    }
    const float* y = x.part[0].data;
    const int64_t row = x.part[0].row;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < outputs; j++) out[static_cast<int64_t>(first + i) * outputs + j] = y[i * row + j];
}

// Gradient of a block's outputs, zero past the end and where the last ReLU was shut.
void read_gradient(const Mlp& net, int first, int count, const float* out, const float* g_out, float* g) {
    const int outputs = net.width[net.layers];
    const int64_t row = mlp_row(outputs);
    __builtin_memset(g, 0, sizeof(float) * kPoints * row);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < outputs; j++) {
            const int64_t at = static_cast<int64_t>(first + i) * outputs + j;
            g[i * row + j] = net.relu_last && !(out[at] > 0.f) ? 0.f : g_out[at];
        }
}

void shut(int width, const float* y, float* g) {
    const int64_t row = mlp_row(width);
    for (int i = 0; i < kPoints; i++)
        for (int j = 0; j < width; j += L) {
            const int64_t at = i * row + j;
            store(g + at, zero_unless(load(y + at) > 0.f, load(g + at)));
        }
}

void write_input_gradient(const Mlp& net, int first, int count, const float* g, const MlpGrads& out) {
    const int64_t row = mlp_row(net.width[0]);
    for (int part = 0; part < net.parts; g += net.part_width[part], part++) {
        const int width = net.part_width[part];
        if (!out.part[part]) continue;
        float* to = out.part[part] + static_cast<int64_t>(first) * width;
        for (int i = 0; i < count; i++)
            for (int j = 0; j < width; j++) to[i * width + j] = g[i * row + j];
    }
}

// Adds the block's gradient of the weights to `sums`, laid out layer by layer as [width[l + 1], mlp_row(width[l])], the
// offset's after them.
void backward_block(const Mlp& net, int block, const Packed& p, float* hidden, const float* out, const float* g_out,
                    bool to_input, const MlpGrads& grads, float* sums) {
    alignas(64) float input[kPoints * kWide], a[kPoints * kWide], b[kPoints * kWide];
    const int first = block * kPoints, count = imin(kPoints, net.points - first);
    read_input(net, first, count, input);
    read_gradient(net, first, count, out, g_out, a);
    float *g = a, *spare = b;
    float* end = sums;
    for (int l = 0; l < net.layers; l++) end += net.width[l + 1] * mlp_row(net.width[l]);
    float* offset = end;
    for (int l = net.layers - 1; l >= 0; l--) {
        const int inputs = net.width[l], outputs = net.width[l + 1];
        const int64_t g_row = mlp_row(outputs), x_row = mlp_row(inputs);
        const float* x = l ? hidden_of(net, l - 1, block, hidden) : input;
        end -= outputs * x_row;
        multiply<End::kAdd>(outputs, inputs, whole(g, 1, g_row, kPoints), x, x_row, kStripe, end, x_row);
        if (l == 0 && net.offset)
            for (int i = 0; i < kPoints; i++)
                for (int j = 0; j < outputs; j++) offset[j] += g[i * g_row + j];
        if (l == 0 && !to_input) return;
        multiply<End::kStore>(kPoints, inputs, whole(g, g_row, 1, outputs), p.stripes[l], kStripe, outputs * kStripe, spare, x_row);
        if (l) shut(inputs, x, spare);
        float* used = g;
        g = spare;
        spare = used;
    }
    write_input_gradient(net, first, count, g, grads);
}

// sums[j] += the other tasks' sums[j], always in the same order.
void add_tasks(float* sums, int64_t size) {
    for (int task = 1; task < kMlpTasks; task++)
        for (int64_t j = 0; j < size; j++) sums[j] += sums[task * size + j];
}

// The sums to the gradients in their own shape.
void write_weight_gradients(const Mlp& net, const float* sums, const MlpGrads& out) {
    for (int l = 0; l < net.layers; l++) {
        const int inputs = net.width[l], outputs = net.width[l + 1];
        const int64_t row = mlp_row(inputs);
        for (int o = 0; o < outputs; o++)
            for (int i = 0; i < inputs; i++) out.weight[l][o * inputs + i] = sums[o * row + i];
        sums += outputs * row;
    }
    for (int j = 0; out.offset && j < net.width[1]; j++) out.offset[j] = sums[j];
}

}  // namespace

void mlp_forward(const Mlp& net, float* scratch, float* hidden, float* out) {
    const Packed p = pack(net, true, scratch);
    parallel(static_cast<int>(net.padded_points / kPoints), [&](int block) { forward_block(net, block, p, hidden, out); });
}

void mlp_backward(const Mlp& net, float* scratch, float* hidden, const float* out, const float* g_out, const MlpGrads& grads) {
    const Packed p = pack(net, false, scratch);
    bool to_input = false;
    for (int part = 0; part < net.parts; part++) to_input |= grads.part[part] != nullptr;
    float* sums = scratch;
    for (int l = 0; l < net.layers; l++) sums += mlp_packed(net.width[l + 1], net.width[l]);
    const int64_t size = mlp_sums(net);
    const int64_t blocks = net.padded_points / kPoints;
    parallel(kMlpTasks, [&](int task) {
        __builtin_memset(sums + task * size, 0, sizeof(float) * size);
        for (int64_t block = blocks * task / kMlpTasks; block < blocks * (task + 1) / kMlpTasks; block++)
            backward_block(net, static_cast<int>(block), p, hidden, out, g_out, to_input, grads, sums + task * size);
    });
    add_tasks(sums, size);
    write_weight_gradients(net, sums, grads);
}

}  // namespace tb::TB_ISA
