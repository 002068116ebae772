// The Python module: checks shapes, lets go of the GIL, calls the kernels of the chosen instruction set.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "kernels.h"
#include "pool.h"

namespace nb = nanobind;
using namespace tb;

namespace {

template <int... Shape>
using In = nb::ndarray<const float, nb::shape<Shape...>, nb::c_contig, nb::device::cpu>;
template <int... Shape>
using Out = nb::ndarray<float, nb::shape<Shape...>, nb::c_contig, nb::device::cpu>;
using Strided = nb::ndarray<const float, nb::ndim<3>, nb::device::cpu>;
using Radii = nb::ndarray<int32_t, nb::shape<-1>, nb::c_contig, nb::device::cpu>;
using Ints = nb::ndarray<const int32_t, nb::shape<-1>, nb::c_contig, nb::device::cpu>;

void require(bool ok, const char* what) {
    if (!ok) throw nb::value_error(what);
}

// ---- instruction sets ------------------------------------------------------------------------------------------

std::vector<const Kernels*> usable() {
    std::vector<const Kernels*> all;
#if defined(TB_HAVE_AVX2)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(&avx2::kernels);
#endif
    all.push_back(&portable::kernels);
    return all;
}

std::atomic<const Kernels*> chosen{usable().front()};

std::vector<std::string> paths() {
    std::vector<std::string> names;
    for (const Kernels* k : usable()) names.emplace_back(k->name);
    return names;
}

void use_path(const std::string& name) {
    for (const Kernels* k : usable())
        if (name == k->name) return chosen.store(k);
    throw nb::value_error("no such path on this machine");
}

// ---- rasteriser ------------------------------------------------------------------------------------------------

// What a backward pass wants is big and wanted again at the next step: up to kSpare of a kind are kept for reuse.
template <class Kept>
class Lent {
  public:
    Lent() {
        std::lock_guard<std::mutex> hold(mutex());
        if (spare().empty()) return;
        kept_ = std::move(spare().back());
        spare().pop_back();
    }
    Lent(const Lent&) = delete;
    ~Lent() {
        std::lock_guard<std::mutex> hold(mutex());
        if (spare().size() < kSpare) spare().push_back(std::move(kept_));
    }
    Kept& operator*() {
        if (!kept_) kept_ = std::make_unique<Kept>();
        return *kept_;
    }

  private:
    static constexpr size_t kSpare = 8;
    static std::mutex& mutex() {
        static auto* one = new std::mutex();  // outlives every Python object, as the list does
        return *one;
    }
    static std::vector<std::unique_ptr<Kept>>& spare() {
        static auto* list = new std::vector<std::unique_ptr<Kept>>();
        return *list;
    }
    std::unique_ptr<Kept> kept_;
};

using Rendered = Lent<Frame>;
using Activations = Lent<Buffer<float>>;

Camera camera(const In<4, 4>& view, const In<3, 3>& k, int width, int height, float eps2d, float near_plane) {
    Camera c;
    std::memcpy(c.view, view.data(), sizeof(c.view));
    c.fx = k(0, 0);
    c.fy = k(1, 1);
    c.cx = k(0, 2);
    c.cy = k(1, 2);
    c.width = width;
    c.height = height;
    c.eps2d = eps2d;
    c.near_plane = near_plane;
    return c;
}

bool project(In<-1, 3> means, In<-1, 4> quats, In<-1, 3> scales, In<-1> opacities, In<4, 4> view, In<3, 3> k, int width,
             int height, float eps2d, float near_plane, Out<-1, 2> means2d, Out<-1, 3> conics, Out<-1, 2> variances,
             Out<-1> depths, Radii radii) {
    const size_t n = means.shape(0);
    require(quats.shape(0) == n && scales.shape(0) == n && opacities.shape(0) == n && means2d.shape(0) == n &&
                conics.shape(0) == n && variances.shape(0) == n && depths.shape(0) == n && radii.shape(0) == n,
            "project: the arrays hold different numbers of Gaussians");
    const Camera c = camera(view, k, width, height, eps2d, near_plane);
    const Cloud cloud{static_cast<int>(n), means.data(), quats.data(), scales.data(), opacities.data()};
    const Footprints out{means2d.data(), conics.data(), variances.data(), depths.data(), radii.data()};
    nb::gil_scoped_release release;
    return chosen.load()->project(c, cloud, out);
}

void project_backward(In<-1, 3> means, In<-1, 4> quats, In<-1, 3> scales, In<4, 4> view, In<3, 3> k, int width, int height,
                      float eps2d, Ints radii, In<-1, 2> g_means2d, In<-1, 3> g_conics, std::optional<In<-1>> g_depths,
                      Out<-1, 3> g_means, Out<-1, 4> g_quats, Out<-1, 3> g_scales) {
    const size_t n = means.shape(0);
    require(quats.shape(0) == n && scales.shape(0) == n && radii.shape(0) == n && g_means2d.shape(0) == n &&
                g_conics.shape(0) == n && (!g_depths || g_depths->shape(0) == n) && g_means.shape(0) == n &&
                g_quats.shape(0) == n && g_scales.shape(0) == n,
            "project_backward: the arrays hold different numbers of Gaussians");
    const Camera c = camera(view, k, width, height, eps2d, 1.f);
    const Cloud cloud{static_cast<int>(n), means.data(), quats.data(), scales.data(), nullptr};
    const CloudGrads out{g_means.data(), g_quats.data(), g_scales.data()};
    const float* depths = g_depths ? g_depths->data() : nullptr;
    nb::gil_scoped_release release;
    chosen.load()->project_backward(c, cloud, radii.data(), g_means2d.data(), g_conics.data(), depths, out);
}

// Returns what the backward pass needs, or nothing if a colour is not finite.
Rendered* composite(Out<-1, 2> means2d, Out<-1, 3> conics, Out<-1, 2> variances, Out<-1> depths, Radii radii,
                    In<-1> opacities, In<-1, -1> colors, std::optional<In<-1>> background, Out<-1, -1, -1> color,
                    Out<-1, -1> alpha) {
    const size_t n = means2d.shape(0), channels = colors.shape(1), height = alpha.shape(0), width = alpha.shape(1);
    require(conics.shape(0) == n && variances.shape(0) == n && depths.shape(0) == n && radii.shape(0) == n &&
                opacities.shape(0) == n && colors.shape(0) == n,
            "composite: the arrays hold different numbers of Gaussians");
    require(channels >= 1 && channels <= kMaxChannels, "composite: 1 to 16 channels");
    require(width >= 1 && height >= 1 && width <= kMaxSide && height <= kMaxSide, "composite: sides of 1 to 16384 pixels");
    require(color.shape(0) == channels && color.shape(1) == height && color.shape(2) == width,
            "composite: the colour image does not fit");
    require(!background || background->shape(0) == channels, "composite: the background does not fit");
    auto rendered = std::make_unique<Rendered>();
    Frame& f = **rendered;
    for (size_t k = 0; k < kMaxChannels; k++) f.background[k] = background && k < channels ? background->data()[k] : 0.f;
    const Footprints in{means2d.data(), conics.data(), variances.data(), depths.data(), radii.data()};
    nb::gil_scoped_release release;
    const Kernels& kernels = *chosen.load();
    prepare(f, static_cast<int>(n), static_cast<int>(width), static_cast<int>(height), static_cast<int>(channels));
    if (kernels.pack(f, in, opacities.data(), colors.data())) return nullptr;
    fill_tile_lists(f);
    kernels.tiles_forward(f, color.data(), alpha.data());
    return rendered.release();
}

void composite_backward(Rendered& rendered, In<-1, 3> conics, In<-1> opacities, std::optional<Strided> g_color,
                        std::optional<In<-1, -1>> g_alpha, int attached, Out<-1, 2> g_means2d, Out<-1, 3> g_conics,
                        Out<-1> g_opacities, Out<-1, -1> g_colors) {
    Frame& f = *rendered;
    const size_t n = f.n, w = f.width, h = f.height, channels = f.channels;
    require(conics.shape(0) == n && opacities.shape(0) == n && g_means2d.shape(0) == n && g_conics.shape(0) == n &&
                g_opacities.shape(0) == n && g_colors.shape(0) == n && g_colors.shape(1) == channels,
            "composite_backward: the arrays hold different numbers of Gaussians");
    require(!g_color || (g_color->shape(0) == channels && g_color->shape(1) == h && g_color->shape(2) == w),
            "composite_backward: the colour gradient does not fit");
    require(!g_alpha || (g_alpha->shape(0) == h && g_alpha->shape(1) == w),
            "composite_backward: the alpha gradient does not fit");
    ImageGrads image{nullptr, 0, 0, 0, g_alpha ? g_alpha->data() : nullptr};
    if (g_color) image = {g_color->data(), g_color->stride(0), g_color->stride(1), g_color->stride(2), image.alpha};
    const FootprintGrads out{g_means2d.data(), g_conics.data(), g_opacities.data(), g_colors.data()};
    nb::gil_scoped_release release;
    const Kernels& kernels = *chosen.load();
    prepare_backward(f);
    kernels.tiles_backward(f, image, attached);
    kernels.collect(f, conics.data(), opacities.data(), out);
}

// ---- deformation -----------------------------------------------------------------------------------------------

using Rows = In<-1, -1>;
using OutRows = Out<-1, -1>;
using Wanted = std::vector<std::optional<OutRows>>;

float* pointer(const std::optional<OutRows>& array, size_t rows, size_t columns, const char* what) {
    if (!array) return nullptr;
    require(array->shape(0) == rows && array->shape(1) == columns, what);
    return array->data();
}

// raw: xyz, scaling, rotation, opacity, f_dc, f_rest
Canonical canonical(const std::vector<Rows>& raw, const std::vector<float>& centre, int bands) {
    constexpr size_t columns[6] = {3, 3, 4, 1, 3, 24};
    require(raw.size() == 6 && centre.size() == 3, "deform: six raw arrays and a camera centre");
    for (size_t k = 0; k < 6; k++)
        require(raw[k].shape(0) == raw[0].shape(0) && raw[k].shape(1) == columns[k], "deform: a raw array does not fit");
    require(bands == 1 || bands == 4 || bands == 9, "deform: 1, 4 or 9 bands");
    return {static_cast<int>(raw[0].shape(0)), bands, raw[0].data(), raw[1].data(), raw[2].data(), raw[3].data(),
            raw[4].data(), raw[5].data(), {centre[0], centre[1], centre[2]}};
}

// axis and weight: factors of the offsets in the position and in the size of the motion
Motion motion(size_t n, const std::optional<Rows>& offsets, const std::vector<float>& axis, const std::vector<float>& weight,
              const std::vector<Rows>& codes) {
    Motion m = {};
    if (offsets) {
        m.width = static_cast<int>(offsets->shape(1));
        m.offsets = offsets->data();
        require(offsets->shape(0) == n && (m.width == 3 || m.width == 11), "deform: offsets [n, 3] or [n, 11]");
        require(axis.size() == 3 && static_cast<int>(weight.size()) == m.width, "deform: a factor and a weight an offset");
        for (int k = 0; k < m.width; k++) m.weight[k] = weight[k];
        for (int k = 0; k < 3; k++) m.axis[k] = axis[k];
    }
    require(codes.size() <= 2, "deform: at most two codes");
    for (const Rows& code : codes) {
        require(code.shape(0) == n, "deform: a code of another number of Gaussians");
        m.code[m.codes] = code.data();
        m.code_width[m.codes++] = static_cast<int>(code.shape(1));
    }
    return m;
}

// arrays: means, scales, quats, opacities, colors
template <class Arrays>
Gaussians gaussians(const Arrays& arrays, size_t n, int codes) {
    const size_t columns[5] = {3, 3, 4, 1, static_cast<size_t>(3 + codes)};
    require(arrays.size() == 5, "deform: five arrays of Gaussians");
    for (size_t k = 0; k < 5; k++)
        require(arrays[k].shape(0) == n && arrays[k].shape(1) == columns[k], "deform: an array does not fit");
    const auto at = [&](size_t k) { return const_cast<float*>(arrays[k].data()); };
    return {at(0), at(1), at(2), at(3), at(4)};
}

// Returns the weighted size of the motion.
double deform(const std::vector<Rows>& raw, const std::vector<float>& centre, int bands, std::optional<Rows> offsets,
              const std::vector<float>& axis, const std::vector<float>& weight, const std::vector<Rows>& codes,
              const std::vector<OutRows>& out) {
    const Canonical c = canonical(raw, centre, bands);
    const Motion m = motion(c.n, offsets, axis, weight, codes);
    const Gaussians to = gaussians(out, c.n, m.codes);
    nb::gil_scoped_release release;
    std::vector<double> sums((c.n + kChunk - 1) / kChunk);
    chosen.load()->deform(c, m, to, sums.data());
    double size = 0;
    for (const double sum : sums) size += sum;
    return size;
}

// wanted: gradients of scaling, opacity, f_dc, f_rest, the offsets, and each code
void deform_backward(const std::vector<Rows>& raw, const std::vector<float>& centre, int bands, std::optional<Rows> offsets,
                     const std::vector<float>& axis, const std::vector<float>& weight, const std::vector<Rows>& codes,
                     const std::vector<Rows>& out, const std::vector<Rows>& gradients, float g_size, const Wanted& wanted) {
    const Canonical c = canonical(raw, centre, bands);
    const Motion m = motion(c.n, offsets, axis, weight, codes);
    const Gaussians y = gaussians(out, c.n, m.codes), g = gaussians(gradients, c.n, m.codes);
    require(wanted.size() == 5 + codes.size(), "deform: gradients missing");
    const size_t columns[5] = {3, 1, 3, 24, static_cast<size_t>(m.width)};
    float* to[7] = {};
    for (size_t k = 0; k < wanted.size(); k++)
        to[k] = pointer(wanted[k], c.n, k < 5 ? columns[k] : codes[k - 5].shape(1), "deform: a gradient does not fit");
    const CanonicalGrads grads{to[0], to[1], to[2], to[3], to[4], {to[5], to[6]}};
    nb::gil_scoped_release release;
    chosen.load()->deform_backward(c, m, y, g, g_size, grads);
}

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
    chosen.load()->grid_forward(lattice.grid(table.data()), static_cast<int>(x.shape(0)), x.data(), out.data());
}

void grid_backward(const Lattice& lattice, In<3, -1> table, In<-1, 3> x, In<-1, -1> g_out, Out<3, -1> g_table,
                   std::optional<Out<-1, 3>> g_x) {
    lattice.check(table.shape(1), g_out.shape(1));
    lattice.check(g_table.shape(1), g_out.shape(1));
    const size_t n = x.shape(0);
    require(g_out.shape(0) == n && (!g_x || g_x->shape(0) == n), "grid_backward: different numbers of points");
    static thread_local Buffer<float> scratch;
    nb::gil_scoped_release release;
    scratch.resize(grid_scratch(static_cast<int>(lattice.levels.size()), static_cast<int64_t>(n)));
    chosen.load()->grid_backward(lattice.grid(table.data()), static_cast<int>(n), x.data(), g_out.data(), scratch.data,
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
    static thread_local Buffer<float> scratch;
    auto hidden = keep ? std::make_unique<Activations>() : nullptr;
    nb::gil_scoped_release release;
    scratch.resize(mlp_scratch(net));
    if (hidden) (**hidden).resize(mlp_hidden(net));
    chosen.load()->mlp_forward(net, scratch.data, hidden ? (**hidden).data : nullptr, out.data());
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
    static thread_local Buffer<float> scratch;
    nb::gil_scoped_release release;
    scratch.resize(mlp_scratch(net));
    chosen.load()->mlp_backward(net, scratch.data, (*hidden).data, out.data(), g_out.data(), grads);
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
    static thread_local Buffer<float> scratch;
    nb::gil_scoped_release release;
    scratch.resize(conv_scratch(s));
    chosen.load()->conv_forward(s, x.data(), scratch.data, kept.data(), out.data());
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
    static thread_local Buffer<float> scratch;
    nb::gil_scoped_release release;
    scratch.resize(conv_scratch(s));
    chosen.load()->conv_backward(s, scratch.data, kept.data(), g_out.data(), grads);
}

// ---- SSIM ------------------------------------------------------------------------------------------------------

// (mean SSIM, mean |x - y|); grad gets the gradient of the weighted sum of the two with respect to x.
std::tuple<double, double> ssim(In<-1, -1, -1> x, In<-1, -1, -1> y, float l1_weight, float ssim_weight,
                                std::optional<Out<-1, -1, -1>> grad) {
    const auto fits = [&](const auto& a) {
        return a.shape(0) == x.shape(0) && a.shape(1) == x.shape(1) && a.shape(2) == x.shape(2);
    };
    require(fits(y) && (!grad || fits(*grad)), "ssim: the images differ in shape");
    require(x.size() > 0, "ssim: the images are empty");
    const ImagePair pair{static_cast<int>(x.shape(0)), static_cast<int>(x.shape(1)), static_cast<int>(x.shape(2)), x.data(),
                         y.data()};
    static thread_local Buffer<float> scratch;
    nb::gil_scoped_release release;
    if (grad) scratch.resize(ssim_scratch(pair));
    std::vector<double> sums(2 * ssim_tasks(pair));
    chosen.load()->ssim(pair, l1_weight, ssim_weight, scratch.data, sums.data(), grad ? grad->data() : nullptr);
    double similar = 0, distance = 0;
    for (size_t i = 0; i < sums.size(); i += 2) {
        similar += sums[i];
        distance += sums[i + 1];
    }
    return {similar / x.size(), distance / x.size()};
}

// A training step frees and asks for the same megabytes again. glibc would hand them back to the system in between, and each
// fresh page costs microseconds in a virtual machine.
void keep_memory() {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that it takes
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace

NB_MODULE(_kernels, m) {
    m.doc() = "CPU kernels of talkbench: Gaussian rasteriser, deformation, tri-plane grid encoder, MLPs, audio convolutions, SSIM.";
    keep_memory();
    nb::set_leak_warnings(false);  // an autograd graph may outlive the module at exit; that is no fault worth a page of text
    m.attr("MAX_CHANNELS") = kMaxChannels;
    m.attr("MAX_SIDE") = kMaxSide;
    m.def("set_threads", &set_threads);
    m.def("threads", &threads);
    m.def("paths", &paths);
    m.def("path", [] { return std::string(chosen.load()->name); });
    m.def("use_path", &use_path);
    nb::class_<Rendered>(m, "Rendered");
    nb::class_<Activations>(m, "Activations");
    nb::class_<Lattice>(m, "Lattice")
        .def(nb::init<const std::vector<std::tuple<float, int, int>>&, float>())
        .def_prop_ro("levels", [](const Lattice& lattice) { return lattice.levels.size(); });
    using namespace nb::literals;
    m.def("project", &project);
    m.def("project_backward", &project_backward, "means"_a, "quats"_a, "scales"_a, "view"_a, "k"_a, "width"_a, "height"_a,
          "eps2d"_a, "radii"_a, "g_means2d"_a, "g_conics"_a, "g_depths"_a.none(), "g_means"_a, "g_quats"_a, "g_scales"_a);
    m.def("composite", &composite, "means2d"_a, "conics"_a, "variances"_a, "depths"_a, "radii"_a, "opacities"_a, "colors"_a,
          "background"_a.none(), "color"_a, "alpha"_a);
    m.def("composite_backward", &composite_backward, "rendered"_a, "conics"_a, "opacities"_a, "g_color"_a.none(),
          "g_alpha"_a.none(), "attached"_a, "g_means2d"_a, "g_conics"_a, "g_opacities"_a, "g_colors"_a);
    m.def("grid_forward", &grid_forward);
    m.def("grid_backward", &grid_backward, "lattice"_a, "table"_a, "x"_a, "g_out"_a, "g_table"_a, "g_x"_a.none());
    m.def("deform", &deform, "raw"_a, "centre"_a, "bands"_a, "offsets"_a.none(), "axis"_a, "weight"_a, "codes"_a, "out"_a);
    m.def("deform_backward", &deform_backward, "raw"_a, "centre"_a, "bands"_a, "offsets"_a.none(), "axis"_a, "weight"_a,
          "codes"_a, "out"_a, "gradients"_a, "g_size"_a, "wanted"_a);
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
    m.def("ssim", &ssim, "x"_a, "y"_a, "l1_weight"_a, "ssim_weight"_a, "grad"_a.none());
}
