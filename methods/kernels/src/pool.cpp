#include "pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#if defined(__SSE2__)
#include <emmintrin.h>
static inline void relax() { _mm_pause(); }
#else
static inline void relax() { std::this_thread::yield(); }
#endif

namespace tb {
namespace {

constexpr int kSpins = 4000;  // about 50 us: longer than the gap between two kernels of one training step
constexpr int kLongestRest = 256;
constexpr auto kPatience = std::chrono::microseconds(50);

class Pool {
  public:
    // Where something else runs on the machine, a helper that has claimed a task can be off its core for milliseconds while
    // the caller waits. After such a wait the next calls do without helpers, more of them each time it happens.
    bool resting() { return rest_ > 0 && rest_--; }

    void run(int helpers, int n, void (*task)(void*, int), void* arg) {
        const auto begin = std::chrono::steady_clock::now();
        for (; started_ < helpers; started_++) std::thread([this] { serve(); }).detach();
        task_ = task;
        arg_ = arg;
        done_.store(0);
        ticket_.store((++generation_ << 40) | (static_cast<uint64_t>(n) << 20));
        if (sleepers_.load() > 0) {
            std::lock_guard<std::mutex> hold(mutex_);
            wake_.notify_all();
        }
        while (claim()) {}
        const auto own = std::chrono::steady_clock::now();
        for (int spins = 0; done_.load(std::memory_order_acquire) < n; spins++) {
            if (spins < kSpins) relax();
            else std::this_thread::yield();
        }
        const bool late = std::chrono::steady_clock::now() - own > own - begin + kPatience;
        longest_rest_ = late ? std::min(2 * longest_rest_, kLongestRest) : std::max(longest_rest_ - 1, 4);
        if (late) rest_ = longest_rest_;
    }

    std::atomic_flag busy = ATOMIC_FLAG_INIT;

  private:
    // ticket: generation (24 bits) | number of tasks (20) | next task (20)
    static bool open(uint64_t ticket) { return (ticket & 0xfffff) < ((ticket >> 20) & 0xfffff); }

    bool claim() {
        if (!open(ticket_.load(std::memory_order_acquire))) return false;
        const uint64_t ticket = ticket_.fetch_add(1, std::memory_order_acq_rel);
        if (!open(ticket)) return false;
        task_(arg_, static_cast<int>(ticket & 0xfffff));
        done_.fetch_add(1, std::memory_order_acq_rel);
        return true;
    }

    void serve() {
        for (;;) {
            for (int idle = 0; idle < kSpins; idle++) {
                if (claim()) idle = 0;
                else relax();
            }
            std::unique_lock<std::mutex> hold(mutex_);
            sleepers_++;
            wake_.wait(hold, [this] { return open(ticket_.load()); });
            sleepers_--;
        }
    }

    std::atomic<uint64_t> ticket_{0};
    std::atomic<int> done_{0}, sleepers_{0};
    void (*task_)(void*, int) = nullptr;
    void* arg_ = nullptr;
    uint64_t generation_ = 0;
    int started_ = 0, rest_ = 0, longest_rest_ = 4;
    std::mutex mutex_;
    std::condition_variable wake_;
};

std::atomic<int> limit{1};

// Never destroyed: helpers may still be asleep in it when the process ends. A forked child has none of the helpers,
// so it gets a new pool.
Pool* shared = new Pool();
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { shared = new Pool(); });

}  // namespace

void set_threads(int n) { limit.store(n < 1 ? 1 : n); }
int threads() { return limit.load(); }

void run_tasks(int n, void (*task)(void*, int), void* arg) {
    Pool* pool = shared;
    const int helpers = (limit.load() < n ? limit.load() : n) - 1;
    if (helpers < 1 || pool->busy.test_and_set(std::memory_order_acquire)) {
        for (int i = 0; i < n; i++) task(arg, i);
        return;
    }
    if (pool->resting())
        for (int i = 0; i < n; i++) task(arg, i);
    else
        pool->run(helpers, n, task, arg);
    pool->busy.clear(std::memory_order_release);
}

}  // namespace tb
