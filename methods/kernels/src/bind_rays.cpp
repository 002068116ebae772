// Rays: checks shapes, lets go of the GIL, calls the kernels.
#include "bind.h"

namespace tb {
namespace {

using Cells = nb::ndarray<const uint8_t, nb::shape<-1, -1, -1>, nb::c_contig, nb::device::cpu>;
using Places = nb::ndarray<const int64_t, nb::shape<-1>, nb::c_contig, nb::device::cpu>;
using OutPlaces = nb::ndarray<int64_t, nb::shape<-1>, nb::c_contig, nb::device::cpu>;

// t [n * most], offsets [n + 1] get the samples, ray after ray without gaps; returns how many there are.
int64_t march(In<-1, 3> origins, In<-1, 3> directions, std::optional<In<-1>> jitter, Cells cells, float bound, In<2, 3> box,
              float near_limit, float step, int most, Out<-1> t, OutPlaces offsets) {
    const size_t n = origins.shape(0), side = cells.shape(0);
    require(directions.shape(0) == n && (!jitter || jitter->shape(0) == n) && offsets.shape(0) == n + 1,
            "march: different numbers of rays");
    require(side >= 1 && cells.shape(1) == side && cells.shape(2) == side, "march: the grid is not a cube");
    require(most >= 1 && step > 0 && bound > 0 && t.shape(0) == n * most, "march: no room for the samples, or no step");
    const Rays rays{static_cast<int>(n), origins.data(), directions.data(), jitter ? jitter->data() : nullptr};
    Occupancy grid = {static_cast<int>(side), cells.data(), bound, {}, {}, near_limit, step, most};
    std::memcpy(grid.low, box.data(), sizeof(grid.low));
    std::memcpy(grid.high, box.data() + 3, sizeof(grid.high));
    nb::gil_scoped_release release;
    std::vector<int32_t> counts(n);
    chosen().march(rays, grid, t.data(), counts.data());
    int64_t total = 0;
    for (size_t r = 0; r < n; r++) {  // moves samples to the front only, so none is lost
        offsets.data()[r] = total;
        if (total != static_cast<int64_t>(r * most))
            std::memmove(t.data() + total, t.data() + r * most, counts[r] * sizeof(float));
        total += counts[r];
    }
    offsets.data()[n] = total;
    return total;
}

RaySamples samples(const Places& offsets, const In<-1>& optical, const Rows& values, float stop) {
    require(offsets.shape(0) >= 1, "shine: offsets [rays + 1]");
    const size_t n = offsets.shape(0) - 1, s = optical.shape(0);
    require(values.shape(0) == s, "shine: different numbers of samples");
    int64_t before = 0;
    for (size_t r = 0; r <= n; r++) {
        require(offsets.data()[r] >= before && offsets.data()[r] <= static_cast<int64_t>(s), "shine: offsets must ascend");
        before = offsets.data()[r];
    }
    require(offsets.data()[0] == 0 && before == static_cast<int64_t>(s), "shine: samples without a ray");
    return {static_cast<int>(n), static_cast<int>(values.shape(1)), offsets.data(), optical.data(), values.data(), stop};
}

void shine(Places offsets, In<-1> optical, Rows values, float stop, Out<-1> weights, OutRows out, Out<-1> opacity) {
    const RaySamples rays = samples(offsets, optical, values, stop);
    require(weights.shape(0) == optical.shape(0) && static_cast<int>(out.shape(0)) == rays.n &&
                static_cast<int>(out.shape(1)) == rays.width && static_cast<int>(opacity.shape(0)) == rays.n,
            "shine: an output does not fit");
    nb::gil_scoped_release release;
    chosen().shine(rays, weights.data(), out.data(), opacity.data());
}

void shine_backward(Places offsets, In<-1> optical, Rows values, float stop, In<-1> weights, Rows g_out, In<-1> g_opacity,
                    Out<-1> g_optical, std::optional<OutRows> g_values) {
    const RaySamples rays = samples(offsets, optical, values, stop);
    require(weights.shape(0) == optical.shape(0) && g_optical.shape(0) == optical.shape(0) &&
                static_cast<int>(g_out.shape(0)) == rays.n && static_cast<int>(g_out.shape(1)) == rays.width &&
                static_cast<int>(g_opacity.shape(0)) == rays.n,
            "shine: a gradient does not fit");
    float* to = pointer(g_values, values.shape(0), values.shape(1), "shine: a gradient does not fit");
    nb::gil_scoped_release release;
    chosen().shine_backward(rays, weights.data(), g_out.data(), g_opacity.data(), g_optical.data(), to);
}

}  // namespace

void bind_rays(nb::module_& m) {
    using namespace nb::literals;
    m.def("march", &march, "origins"_a, "directions"_a, "jitter"_a.none(), "cells"_a, "bound"_a, "box"_a, "near_limit"_a,
          "step"_a, "most"_a, "t"_a, "offsets"_a);
    m.def("shine", &shine, "offsets"_a, "optical"_a, "values"_a, "stop"_a, "weights"_a, "out"_a, "opacity"_a);
    m.def("shine_backward", &shine_backward, "offsets"_a, "optical"_a, "values"_a, "stop"_a, "weights"_a, "g_out"_a,
          "g_opacity"_a, "g_optical"_a, "g_values"_a.none());
}

}  // namespace tb
