// The rasteriser and the deformation of Gaussians: checks shapes, lets go of the GIL, calls the kernels.
#include "bind.h"

namespace tb {
namespace {

using Strided = nb::ndarray<const float, nb::ndim<3>, nb::device::cpu>;
using Radii = nb::ndarray<int32_t, nb::shape<-1>, nb::c_contig, nb::device::cpu>;
using Ints = nb::ndarray<const int32_t, nb::shape<-1>, nb::c_contig, nb::device::cpu>;
using Rendered = Lent<Frame>;

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
    return chosen().project(c, cloud, out);
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
    chosen().project_backward(c, cloud, radii.data(), g_means2d.data(), g_conics.data(), depths, out);
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
    const Kernels& kernels = chosen();
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
    const Kernels& kernels = chosen();
    prepare_backward(f);
    kernels.tiles_backward(f, image, attached);
    kernels.collect(f, conics.data(), opacities.data(), out);
}

// ---- deformation -----------------------------------------------------------------------------------------------

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
    chosen().deform(c, m, to, sums.data());
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
    chosen().deform_backward(c, m, y, g, g_size, grads);
}

}  // namespace

void bind_gaussians(nb::module_& m) {
    using namespace nb::literals;
    m.attr("MAX_CHANNELS") = kMaxChannels;
    m.attr("MAX_SIDE") = kMaxSide;
    nb::class_<Rendered>(m, "Rendered");
    m.def("project", &project);
    m.def("project_backward", &project_backward, "means"_a, "quats"_a, "scales"_a, "view"_a, "k"_a, "width"_a, "height"_a,
          "eps2d"_a, "radii"_a, "g_means2d"_a, "g_conics"_a, "g_depths"_a.none(), "g_means"_a, "g_quats"_a, "g_scales"_a);
    m.def("composite", &composite, "means2d"_a, "conics"_a, "variances"_a, "depths"_a, "radii"_a, "opacities"_a, "colors"_a,
          "background"_a.none(), "color"_a, "alpha"_a);
    m.def("composite_backward", &composite_backward, "rendered"_a, "conics"_a, "opacities"_a, "g_color"_a.none(),
          "g_alpha"_a.none(), "attached"_a, "g_means2d"_a, "g_conics"_a, "g_opacities"_a, "g_colors"_a);
    m.def("deform", &deform, "raw"_a, "centre"_a, "bands"_a, "offsets"_a.none(), "axis"_a, "weight"_a, "codes"_a, "out"_a);
    m.def("deform_backward", &deform_backward, "raw"_a, "centre"_a, "bands"_a, "offsets"_a.none(), "axis"_a, "weight"_a,
          "codes"_a, "out"_a, "gradients"_a, "g_size"_a, "wanted"_a);
}

}  // namespace tb
