// The Python module: instruction sets, threads, SSIM; the other kernels are bound in bind_*.cpp.
#include "bind.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <atomic>
#include <string>

namespace tb {
namespace {

// ---- instruction sets ------------------------------------------------------------------------------------------

std::vector<const Kernels*> usable() {
    std::vector<const Kernels*> all;
#if defined(TB_HAVE_AVX2)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(&avx2::kernels);
#endif
    all.push_back(&portable::kernels);
    return all;
}

std::atomic<const Kernels*> in_use{usable().front()};

std::vector<std::string> paths() {
    std::vector<std::string> names;
    for (const Kernels* k : usable()) names.emplace_back(k->name);
    return names;
}

void use_path(const std::string& name) {
    for (const Kernels* k : usable())
        if (name == k->name) return in_use.store(k);
    throw nb::value_error("no such path on this machine");
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
    nb::gil_scoped_release release;
    float* room = grad ? scratch(ssim_scratch(pair)) : nullptr;
    std::vector<double> sums(2 * ssim_tasks(pair));
    chosen().ssim(pair, l1_weight, ssim_weight, room, sums.data(), grad ? grad->data() : nullptr);
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

const Kernels& chosen() { return *in_use.load(); }

}  // namespace tb

NB_MODULE(_kernels, m) {
    using namespace tb;
    using namespace nb::literals;
    m.doc() = "CPU kernels of talkbench: Gaussian rasteriser, deformation, tri-plane grid encoder, MLPs, audio convolutions, SSIM.";
    keep_memory();
    nb::set_leak_warnings(false);  // an autograd graph may outlive the module at exit; that is no fault worth a page of text
    m.def("set_threads", &set_threads);
    m.def("threads", &threads);
    m.def("paths", &paths);
    m.def("path", [] { return std::string(chosen().name); });
    m.def("use_path", &use_path);
    bind_gaussians(m);
    bind_nets(m);
    bind_rays(m);
    m.def("ssim", &ssim, "x"_a, "y"_a, "l1_weight"_a, "ssim_weight"_a, "grad"_a.none());
}
