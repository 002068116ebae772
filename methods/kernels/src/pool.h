// The one thread pool of all kernels.
//
// Tasks are claimed one by one from an atomic ticket. The calling thread works too and never waits for a helper that
// has not claimed a task, so a busy machine costs little (performance.md, section 2d). A second Python thread that
// arrives while the pool is at work runs its tasks itself. A forked child starts with a pool of its own.
#pragma once
#include <type_traits>

namespace tb {

// Threads the kernels may use, the caller included; at least 1. Results never depend on it.
void set_threads(int n);
int threads();

// Runs task(arg, 0..n-1), in any order and on any thread, and returns when all are done. n < 2^20.
void run_tasks(int n, void (*task)(void*, int), void* arg);

// Internal linkage on purpose: the same template is compiled with and without AVX2, and the two must not be merged.
template <class F>
static inline void parallel(int n, F&& body) {
    using Body = std::remove_reference_t<F>;
    run_tasks(n, [](void* arg, int i) { (*static_cast<Body*>(arg))(i); }, &body);
}

}  // namespace tb
