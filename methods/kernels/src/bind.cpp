// The Python module: checks shapes, lets go of the GIL, calls the kernels of the chosen instruction set.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

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

// Frames are big and wanted again at the next step: up to kSpareFrames are kept for reuse.
constexpr size_t kSpareFrames = 8;
std::mutex spare_mutex;
std::vector<std::unique_ptr<Frame>>& spare_frames() {
    static auto* frames = new std::vector<std::unique_ptr<Frame>>();  // outlives every Python object
    return *frames;
}

std::unique_ptr<Frame> take_frame() {
    std::lock_guard<std::mutex> hold(spare_mutex);
    auto& spare = spare_frames();
    if (spare.empty()) return std::make_unique<Frame>();
    auto frame = std::move(spare.back());
    spare.pop_back();
    return frame;
}

struct Rendered {
    std::unique_ptr<Frame> frame = take_frame();
    Rendered() = default;
    Rendered(const Rendered&) = delete;
    ~Rendered() {
        std::lock_guard<std::mutex> hold(spare_mutex);
        if (spare_frames().size() < kSpareFrames) spare_frames().push_back(std::move(frame));
    }
};

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
    Frame& f = *rendered->frame;
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
    Frame& f = *rendered.frame;
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

}  // namespace

NB_MODULE(_kernels, m) {
    m.doc() = "CPU kernels of talkbench: Gaussian rasteriser, tri-plane grid encoder, SSIM.";
    m.attr("MAX_CHANNELS") = kMaxChannels;
    m.attr("MAX_SIDE") = kMaxSide;
    m.def("set_threads", &set_threads);
    m.def("threads", &threads);
    m.def("paths", &paths);
    m.def("path", [] { return std::string(chosen.load()->name); });
    m.def("use_path", &use_path);
    nb::class_<Rendered>(m, "Rendered");
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
    m.def("ssim", &ssim, "x"_a, "y"_a, "l1_weight"_a, "ssim_weight"_a, "grad"_a.none());
}
