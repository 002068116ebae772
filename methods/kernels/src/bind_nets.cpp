// The blocks of fields: tri-plane grid, MLPs, convolutions. Checks shapes, lets go of the GIL, calls the kernels.
#include "bind.h"

namespace tb {
namespace {

using Activations = Lent<Buffer<float>>;

// ---- tri-plane grid --------------------------------------------------------------------------------------------

struct Lattice {
    std::vector<GridLevel> levels;
    float bound;
    int entries = 0;

    Lattice(const std::vector<std::tuple<float, int, int>>& rows, float half_side) : bound(half_side) {
        require(rows.size() >= 1 && rows.size() <= 16, "Lattice: 1 to 16 levels");
        for (const auto& [scale, row, length] : rows) {
            levels.push_back({scale, row, entries, length});
            entries += length;
        }
    }
    Grid grid(const float* table) const { return {static_cast<int>(levels.size()), entries, bound, levels.data(), table}; }
    void check(size_t planes_entries, size_t width) const {
        require(planes_entries == static_cast<size_t>(entries), "Lattice: the table does not fit");
        require(width == 3 * levels.size(), "Lattice: the features do not fit");
    }
};

void grid_forward(const Lattice& lattice, In<3, -1> table, In<-1, 3> x, Out<-1, -1> out) {
    lattice.check(table.shape(1), out.shape(1));
    require(out.shape(0) == x.shape(0), "grid_forward: different numbers of points");
    nb::gil_scoped_release release;
    chosen().grid_forward(lattice.grid(table.data()), static_cast<int>(x.shape(0)), x.data(), out.data());
}

void grid_backward(const Lattice& lattice, In<3, -1> table, In<-1, 3> x, In<-1, -1> g_out, Out<3, -1> g_table,
                   std::optional<Out<-1, 3>> g_x) {
    lattice.check(table.shape(1), g_out.shape(1));
    lattice.check(g_table.shape(1), g_out.shape(1));
    const size_t n = x.shape(0);
    require(g_out.shape(0) == n && (!g_x || g_x->shape(0) == n), "grid_backward: different numbers of points");
    nb::gil_scoped_release release;
    float* room = scratch(grid_scratch(static_cast<int>(lattice.levels.size()), static_cast<int64_t>(n)));
    chosen().grid_backward(lattice.grid(table.data()), static_cast<int>(n), x.data(), g_out.data(), room,
                                 g_table.data(), g_x ? g_x->data() : nullptr);
}

// ---- multilayer perceptron -------------------------------------------------------------------------------------

Mlp describe(const std::vector<Rows>& parts, const std::vector<Rows>& weights, const std::optional<In<-1>>& offset,
             bool relu_last) {
    require(weights.size() >= 1 && weights.size() <= kMlpLayers, "mlp: 1 to 4 layers");
    require(parts.size() >= 1 && parts.size() <= kMlpParts, "mlp: 1 to 4 parts");
    Mlp net = {};
    net.points = static_cast<int>(parts[0].shape(0));
    net.padded_points = (net.points + kMlpBlock - 1) / kMlpBlock * int64_t{kMlpBlock};
    net.layers = static_cast<int>(weights.size());
    net.parts = static_cast<int>(parts.size());
    for (size_t k = 0; k < parts.size(); k++) {
        require(parts[k].shape(0) == parts[0].shape(0), "mlp: the parts hold different numbers of points");
        net.part[k] = parts[k].data();
        net.width[0] += net.part_width[k] = static_cast<int>(parts[k].shape(1));
    }
    for (size_t l = 0; l < weights.size(); l++) {
        require(static_cast<int>(weights[l].shape(1)) == net.width[l], "mlp: a layer's weights do not fit its input");
        net.weight[l] = weights[l].data();
        net.width[l + 1] = static_cast<int>(weights[l].shape(0));
    }
    for (int l = 0; l <= net.layers; l++) require(net.width[l] >= 1 && net.width[l] <= kMlpWidest, "mlp: widths of 1 to 256");
    require(!offset || static_cast<int>(offset->shape(0)) == net.width[1], "mlp: the offset does not fit");
    net.offset = offset ? offset->data() : nullptr;
    net.relu_last = relu_last;
    return net;
}

// Returns the activations that the backward pass needs, or nothing unless `keep`.
Activations* mlp_forward(const std::vector<Rows>& parts, const std::vector<Rows>& weights, std::optional<In<-1>> offset,
                         bool relu_last, bool keep, OutRows out) {
    const Mlp net = describe(parts, weights, offset, relu_last);
    require(static_cast<int>(out.shape(0)) == net.points && static_cast<int>(out.shape(1)) == net.width[net.layers],
            "mlp: the output does not fit");
    auto hidden = keep ? std::make_unique<Activations>() : nullptr;
    nb::gil_scoped_release release;
    float* room = scratch(mlp_scratch(net));
    if (hidden) (**hidden).resize(mlp_hidden(net));
    chosen().mlp_forward(net, room, hidden ? (**hidden).data : nullptr, out.data());
    return hidden.release();
}

void mlp_backward(const std::vector<Rows>& parts, const std::vector<Rows>& weights, std::optional<In<-1>> offset,
                  bool relu_last, Activations& hidden, Rows out, Rows g_out, const Wanted& g_parts,
                  const std::vector<OutRows>& g_weights, std::optional<Out<-1>> g_offset) {
    const Mlp net = describe(parts, weights, offset, relu_last);
    const auto fits = [&](const auto& a, const Rows& b) { return a.shape(0) == b.shape(0) && a.shape(1) == b.shape(1); };
    require(g_parts.size() == parts.size() && g_weights.size() == weights.size(), "mlp: gradients missing");
    require(static_cast<int>(out.shape(0)) == net.points && static_cast<int>(out.shape(1)) == net.width[net.layers] &&
                fits(g_out, out), "mlp: the output does not fit");
    require(!g_offset || (offset && g_offset->shape(0) == offset->shape(0)), "mlp: the offset's gradient does not fit");
    MlpGrads grads = {};
    for (size_t k = 0; k < parts.size(); k++) {
        require(!g_parts[k] || fits(*g_parts[k], parts[k]), "mlp: a part's gradient does not fit");
        grads.part[k] = g_parts[k] ? g_parts[k]->data() : nullptr;
    }
    for (size_t l = 0; l < weights.size(); l++) {
        require(fits(g_weights[l], weights[l]), "mlp: a weight's gradient does not fit");
        grads.weight[l] = g_weights[l].data();
    }
    grads.offset = g_offset ? g_offset->data() : nullptr;
    nb::gil_scoped_release release;
    float* room = scratch(mlp_scratch(net));
    chosen().mlp_backward(net, room, (*hidden).data, out.data(), g_out.data(), grads);
}

// ---- convolutions ----------------------------------------------------------------------------------------------

using Cube = In<-1, -1, -1>;
using OutCube = Out<-1, -1, -1>;

ConvStack conv_stack(const std::vector<int>& shape, const std::vector<Cube>& weights, const std::vector<In<-1>>& biases,
                     int stride, float slope) {
    require(shape.size() == 3 && weights.size() >= 1 && weights.size() <= kConvLayers && biases.size() == weights.size(),
            "conv: 1 to 6 layers, a bias each");
    require(stride == 1 || stride == 2, "conv: stride 1 or 2");
    ConvStack s = {};
    s.batch = shape[0];
    s.layers = static_cast<int>(weights.size());
    s.stride = stride;
    s.slope = slope;
    s.channels[0] = shape[1];
    s.length[0] = shape[2];
    for (int l = 0; l < s.layers; l++) {
        const Cube& w = weights[l];
        require(static_cast<int>(w.shape(1)) == s.channels[l] && w.shape(2) == 3 && biases[l].shape(0) == w.shape(0),
                "conv: a layer's weights do not fit its input");
        s.channels[l + 1] = static_cast<int>(w.shape(0));
        s.length[l + 1] = (s.length[l] - 1) / stride + 1;
        s.weight[l] = w.data();
        s.bias[l] = biases[l].data();
    }
    for (int l = 0; l <= s.layers; l++) require(s.channels[l] >= 1 && s.length[l] >= 1, "conv: nothing there");
    require(s.batch >= 1, "conv: nothing there");
    return s;
}

std::vector<int> shape_of(const ConvStack& s, int l) { return {s.batch, s.channels[l], s.length[l]}; }

template <class A>
bool has_shape(const A& a, const std::vector<int>& shape) {
    return static_cast<int>(a.shape(0)) == shape[0] && static_cast<int>(a.shape(1)) == shape[1] &&
           static_cast<int>(a.shape(2)) == shape[2];
}

int64_t conv_kept_size(const std::vector<int>& shape, const std::vector<Cube>& weights, const std::vector<In<-1>>& biases,
                       int stride) {
    return conv_kept(conv_stack(shape, weights, biases, stride, 0.f));
}

void conv_forward(Cube x, const std::vector<Cube>& weights, const std::vector<In<-1>>& biases, int stride, float slope,
                  Out<-1> kept, OutCube out) {
    const std::vector<int> shape{static_cast<int>(x.shape(0)), static_cast<int>(x.shape(1)), static_cast<int>(x.shape(2))};
    const ConvStack s = conv_stack(shape, weights, biases, stride, slope);
    require(has_shape(out, shape_of(s, s.layers)), "conv: the output does not fit");
    require(static_cast<int64_t>(kept.shape(0)) >= conv_kept(s), "conv: too little room for the activations");
    nb::gil_scoped_release release;
    float* room = scratch(conv_scratch(s));
    chosen().conv_forward(s, x.data(), room, kept.data(), out.data());
}

void conv_backward(const std::vector<int>& shape, const std::vector<Cube>& weights, const std::vector<In<-1>>& biases,
                   int stride, float slope, Out<-1> kept, Cube g_out, std::optional<OutCube> g_x,
                   const std::vector<OutCube>& g_weights, const std::vector<Out<-1>>& g_biases) {
    const ConvStack s = conv_stack(shape, weights, biases, stride, slope);
    require(has_shape(g_out, shape_of(s, s.layers)) && (!g_x || has_shape(*g_x, shape)), "conv: a gradient does not fit");
    require(static_cast<int64_t>(kept.shape(0)) >= conv_kept(s), "conv: too little room for the activations");
    require(g_weights.size() == weights.size() && g_biases.size() == weights.size(), "conv: gradients missing");
    ConvGrads grads = {};
    grads.x = g_x ? g_x->data() : nullptr;
    for (int l = 0; l < s.layers; l++) {
        require(has_shape(g_weights[l], {s.channels[l + 1], s.channels[l], 3}) &&
                    static_cast<int>(g_biases[l].shape(0)) == s.channels[l + 1],
                "conv: a weight's gradient does not fit");
        grads.weight[l] = g_weights[l].data();
        grads.bias[l] = g_biases[l].data();
    }
    nb::gil_scoped_release release;
    float* room = scratch(conv_scratch(s));
    chosen().conv_backward(s, room, kept.data(), g_out.data(), grads);
}

}  // namespace

void bind_nets(nb::module_& m) {
    using namespace nb::literals;
    nb::class_<Activations>(m, "Activations");
    nb::class_<Lattice>(m, "Lattice")
        .def(nb::init<const std::vector<std::tuple<float, int, int>>&, float>())
        .def_prop_ro("levels", [](const Lattice& lattice) { return lattice.levels.size(); });
    m.def("grid_forward", &grid_forward);
    m.def("grid_backward", &grid_backward, "lattice"_a, "table"_a, "x"_a, "g_out"_a, "g_table"_a, "g_x"_a.none());
    m.attr("MLP_LAYERS") = kMlpLayers;
    m.attr("MLP_PARTS") = kMlpParts;
    m.attr("MLP_WIDEST") = kMlpWidest;
    m.def("mlp_forward", &mlp_forward, "parts"_a, "weights"_a, "offset"_a.none(), "relu_last"_a, "keep"_a, "out"_a);
    m.def("mlp_backward", &mlp_backward, "parts"_a, "weights"_a, "offset"_a.none(), "relu_last"_a, "hidden"_a, "out"_a,
          "g_out"_a, "g_parts"_a, "g_weights"_a, "g_offset"_a.none());
    m.attr("CONV_LAYERS") = kConvLayers;
    m.def("conv_kept_size", &conv_kept_size);
    m.def("conv_forward", &conv_forward);
    m.def("conv_backward", &conv_backward, "shape"_a, "weights"_a, "biases"_a, "stride"_a, "slope"_a, "kept"_a, "g_out"_a,
          "g_x"_a.none(), "g_weights"_a, "g_biases"_a);
}

}  // namespace tb
