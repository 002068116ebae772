// What the bindings of all kernels share: array types, checks, the chosen instruction set, memory that is kept.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

#include "kernels.h"
#include "pool.h"

namespace nb = nanobind;

namespace tb {

template <int... Shape>
using In = nb::ndarray<const float, nb::shape<Shape...>, nb::c_contig, nb::device::cpu>;
template <int... Shape>
using Out = nb::ndarray<float, nb::shape<Shape...>, nb::c_contig, nb::device::cpu>;
using Rows = In<-1, -1>;
using OutRows = Out<-1, -1>;
using Wanted = std::vector<std::optional<OutRows>>;

inline void require(bool ok, const char* what) {
    if (!ok) throw nb::value_error(what);
}

inline float* pointer(const std::optional<OutRows>& array, size_t rows, size_t columns, const char* what) {
    if (!array) return nullptr;
    require(array->shape(0) == rows && array->shape(1) == columns, what);
    return array->data();
}

// The kernels of the instruction set that is in use.
const Kernels& chosen();

// Working memory of this thread, at least so many floats; what it held is lost with the next call.
inline float* scratch(int64_t floats) {
    static thread_local Buffer<float> one;
    one.resize(floats);
    return one.data;
}

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

// Each adds its functions to the module.
void bind_gaussians(nb::module_&);
void bind_nets(nb::module_&);
void bind_rays(nb::module_&);

}  // namespace tb
