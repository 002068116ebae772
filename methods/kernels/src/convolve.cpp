// Stacks of small 1-d convolutions (3 taps, padding 1, one stride) with leaky ReLU: the audio branches. Channels are kept
// last, so that each layer is one product of the gathered taps with the weights. Too small to share between threads.
#include "gemm.h"
#include "kernels.h"

namespace tb::TB_ISA {
namespace {

constexpr int kTaps = 3;

int rows_of(const ConvStack& s, int l) { return s.batch * s.length[l]; }

// What the passes share of scratch: the gathered taps of one layer, packed weights, two gradients.
struct Scratch {
    float *taps, *packed, *g, *spare;
};

Scratch divide(const ConvStack& s, float* scratch) {
    const int64_t part = conv_scratch(s) / 4;
    return {scratch, scratch + part, scratch + 2 * part, scratch + 3 * part};
}

// Layer l's activations, [rows, conv_row(channels)]; l = 0: the input.
float* activations(const ConvStack& s, int l, float* kept) {
    for (int k = 0; k < l; k++) kept += int64_t{rows_of(s, k)} * conv_row(s.channels[k]);
    return kept;
}

void to_channels_last(const ConvStack& s, int l, const float* x, float* y) {
    const int channels = s.channels[l], length = s.length[l], row = conv_row(channels);
    for (int b = 0; b < s.batch; b++)
        for (int c = 0; c < channels; c++)
            for (int t = 0; t < length; t++) y[(b * length + t) * row + c] = x[(b * channels + c) * length + t];
}

void to_channels_first(const ConvStack& s, int l, const float* y, float* x) {
    const int channels = s.channels[l], length = s.length[l], row = conv_row(channels);
    for (int b = 0; b < s.batch; b++)
        for (int c = 0; c < channels; c++)
            for (int t = 0; t < length; t++) x[(b * channels + c) * length + t] = y[(b * length + t) * row + c];
}

// Calls body(row of the output, tap, row of the input) for every tap that lies inside.
template <class Body>
void for_taps(const ConvStack& s, int l, Body&& body) {
    for (int b = 0; b < s.batch; b++)
        for (int t = 0; t < s.length[l + 1]; t++)
            for (int k = 0; k < kTaps; k++) {
                const int from = t * s.stride + k - 1;
                if (from >= 0 && from < s.length[l]) body(b * s.length[l + 1] + t, k, b * s.length[l] + from);
            }
}

// [rows of layer l + 1, conv_row(3 channels)], tap by tap.
void gather_taps(const ConvStack& s, int l, const float* x, float* taps) {
    const int channels = s.channels[l], row = conv_row(channels), wide = conv_row(kTaps * channels);
    __builtin_memset(taps, 0, sizeof(float) * rows_of(s, l + 1) * wide);
    for_taps(s, l, [&](int to, int k, int from) {
        __builtin_memcpy(taps + to * wide + k * channels, x + from * row, sizeof(float) * channels);
    });
}

// Weights [out, in, 3] as [out, 3 in], the order of the taps.
void by_taps(const ConvStack& s, int l, float* w) {
    const int inputs = s.channels[l], outputs = s.channels[l + 1];
    for (int o = 0; o < outputs; o++)
        for (int c = 0; c < inputs; c++)
            for (int k = 0; k < kTaps; k++) w[(o * kTaps + k) * inputs + c] = s.weight[l][(o * inputs + c) * kTaps + k];
}

}  // namespace

void conv_forward(const ConvStack& s, const float* x, float* scratch, float* kept, float* out) {
    const Scratch room = divide(s, scratch);
    to_channels_last(s, 0, x, kept);
    for (int l = 0; l < s.layers; l++) {
        const int rows = rows_of(s, l + 1), depth = kTaps * s.channels[l], outputs = s.channels[l + 1], row = conv_row(outputs);
        float* y = activations(s, l + 1, kept);
        gather_taps(s, l, activations(s, l, kept), room.taps);
        by_taps(s, l, room.g);
        pack_stripes(room.g, outputs, depth, true, room.packed);
        multiply<End::kStore>(rows, outputs, whole(room.taps, conv_row(depth), 1, depth), room.packed, kStripe, depth * kStripe, y, row);
        for (int i = 0; i < rows; i++)
            for (int o = 0; o < outputs; o++) {
                const float value = y[i * row + o] + s.bias[l][o];
                y[i * row + o] = value > 0.f ? value : s.slope * value;
            }
    }
    to_channels_first(s, s.layers, activations(s, s.layers, kept), out);
}

void conv_backward(const ConvStack& s, float* scratch, float* kept, const float* g_out, const ConvGrads& grads) {
    const Scratch room = divide(s, scratch);
    float *g = room.g, *spare = room.spare;
    __builtin_memset(g, 0, sizeof(float) * rows_of(s, s.layers) * conv_row(s.channels[s.layers]));
    to_channels_last(s, s.layers, g_out, g);
    for (int l = s.layers - 1; l >= 0; l--) {
        const int inputs = s.channels[l], outputs = s.channels[l + 1], rows = rows_of(s, l + 1), depth = kTaps * inputs;
        const int row = conv_row(outputs), wide = conv_row(depth);
        const float* y = activations(s, l + 1, kept);
        for (int o = 0; o < outputs; o++) {
            float sum = 0.f;
            for (int i = 0; i < rows; i++) {
                if (!(y[i * row + o] > 0.f)) g[i * row + o] *= s.slope;
                sum += g[i * row + o];
            }
            grads.bias[l][o] = sum;
        }
        gather_taps(s, l, activations(s, l, kept), room.taps);
        multiply<End::kStore>(outputs, depth, whole(g, 1, row, rows), room.taps, wide, kStripe, spare, wide);
        for (int o = 0; o < outputs; o++)
            for (int c = 0; c < inputs; c++)
                for (int k = 0; k < kTaps; k++)
                    grads.weight[l][(o * inputs + c) * kTaps + k] = spare[o * wide + k * inputs + c];
        if (l == 0 && !grads.x) return;
        by_taps(s, l, spare);
        pack_stripes(spare, outputs, depth, false, room.packed);
        multiply<End::kStore>(rows, depth, whole(g, row, 1, outputs), room.packed, kStripe, outputs * kStripe, room.taps, wide);
        __builtin_memset(spare, 0, sizeof(float) * rows_of(s, l) * conv_row(inputs));
        for_taps(s, l, [&](int from, int k, int to) {
            for (int c = 0; c < inputs; c++) spare[to * conv_row(inputs) + c] += room.taps[from * wide + k * inputs + c];
        });
        float* used = g;
        g = spare;
        spare = used;
    }
    to_channels_first(s, 0, g, grads.x);
}

}  // namespace tb::TB_ISA
