#include "frame.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "pool.h"

namespace tb {

template <class T>
Buffer<T>::~Buffer() { std::free(data); }

template <class T>
void Buffer<T>::resize(size_t n) {
    if (n <= capacity_) return;
    std::free(data);
    capacity_ = n + n / 4 + 64;
    constexpr size_t huge = size_t{2} << 20;
    size_t bytes = capacity_ * sizeof(T);
    const size_t align = bytes >= huge ? huge : 64;
    bytes = (bytes + align - 1) / align * align;
    data = static_cast<T*>(std::aligned_alloc(align, bytes));
    if (!data) {
        capacity_ = 0;
        throw std::bad_alloc();
    }
#if defined(__linux__)
    if (align == huge) madvise(data, bytes, MADV_HUGEPAGE);  // page faults are dear in virtual machines
#endif
}

template class Buffer<Record>;
template class Buffer<TileRange>;
template class Buffer<float>;
template class Buffer<int>;
template class Buffer<uint32_t>;
template class Buffer<uint64_t>;

void prepare(Frame& f, int n, int width, int height, int channels) {
    f.n = n;
    f.width = width;
    f.height = height;
    f.channels = channels;
    f.lanes = channels <= 8 ? channels : channels <= 12 ? 12 : 16;
    f.slot = f.lanes <= 2 ? 8 : f.lanes <= 8 ? 16 : 24;
    f.tiles_x = (width + kTileW - 1) / kTileW;
    f.tiles_y = (height + kTileH - 1) / kTileH;
    const size_t tiles = static_cast<size_t>(f.tiles_x) * f.tiles_y;
    f.records.resize(n);
    if (channels > kInlineChannels) f.more_colors.resize(static_cast<size_t>(n) * kMoreChannels);
    f.ranges.resize(n);
    f.depth_keys.resize(n);
    f.first_pair.resize(n + 1);
    f.sort_a.resize(n);
    f.sort_b.resize(n);
    f.tile_start.resize(tiles + 1);
    f.tile_cursor.resize(tiles);
    f.transmittance.resize(tiles * kTilePixels);
    f.stop.resize(tiles * kTilePixels);
}

void prepare_backward(Frame& f) { f.slots.resize(static_cast<size_t>(f.pairs) * f.slot + 16); }

// Radix sort (3 x 11 bits, stable) of (depth, index); returns the sorted array, sets its length.
static const uint64_t* sort_by_depth(Frame& f, int* count) {
    uint32_t histogram[3][2048] = {};
    uint64_t *from = f.sort_a.data, *to = f.sort_b.data;
    int m = 0;
    for (int i = 0; i < f.n; i++) {
        const uint32_t key = f.depth_keys.data[i];
        if (key == kCulled) continue;
        histogram[0][key & 2047]++;
        histogram[1][(key >> 11) & 2047]++;
        histogram[2][key >> 22]++;
        from[m++] = (static_cast<uint64_t>(key) << 32) | static_cast<uint32_t>(i);
    }
    for (int pass = 0; pass < 3; pass++) {
        uint32_t sum = 0, largest = 0;
        for (uint32_t& bin : histogram[pass]) {
            const uint32_t size = bin;
            largest = std::max(largest, size);
            bin = sum;
            sum += size;
        }
        if (largest == static_cast<uint32_t>(m)) continue;  // all keys agree in these bits
        const int shift = 32 + 11 * pass;
        const uint32_t mask = pass == 2 ? 1023 : 2047;
        for (int j = 0; j < m; j++) to[histogram[pass][(from[j] >> shift) & mask]++] = from[j];
        std::swap(from, to);
    }
    *count = m;
    return from;
}

static void count_pairs(Frame& f) {
    const int tiles = f.tiles_x * f.tiles_y;
    int *start = f.tile_start.data, pairs = 0;
    std::memset(start, 0, sizeof(int) * (tiles + 1));
    for (int i = 0; i < f.n; i++) {
        const TileRange r = f.ranges.data[i];
        f.first_pair.data[i] = pairs;
        for (int y = r.y0; y <= r.y1; y++)
            for (int x = r.x0; x <= r.x1; x++) start[y * f.tiles_x + x + 1]++;
        pairs += (r.x1 - r.x0 + 1) * (r.y1 - r.y0 + 1);
    }
    f.first_pair.data[f.n] = f.pairs = pairs;
    for (int t = 0; t < tiles; t++) start[t + 1] += start[t];
    std::memcpy(f.tile_cursor.data, start, sizeof(int) * tiles);
    f.entries.resize(pairs + 2 * kPrefetch);
    f.pair_entry.resize(pairs + 1);
    std::memset(f.entries.data + pairs, 0, sizeof(int) * 2 * kPrefetch);
}

void fill_tile_lists(Frame& f) {
    const uint64_t* sorted = nullptr;
    int count = 0;
    parallel(2, [&](int task) {  // neither needs the other
        if (task == 0) sorted = sort_by_depth(f, &count);
        else count_pairs(f);
    });
    // Counting sort into the tiles; each task owns a band of tile rows, so the lists never depend on the threads.
    const int bands = std::min(threads(), f.tiles_y);
    parallel(bands, [&](int band) {
        const int first = f.tiles_y * band / bands, last = f.tiles_y * (band + 1) / bands - 1;
        for (int j = 0; j < count; j++) {
            const int i = static_cast<int>(static_cast<uint32_t>(sorted[j]));
            const TileRange r = f.ranges.data[i];
            const int y0 = std::max<int>(r.y0, first), y1 = std::min<int>(r.y1, last);
            int* pair = f.pair_entry.data + f.first_pair.data[i] + (y0 - r.y0) * (r.x1 - r.x0 + 1);
            for (int y = y0; y <= y1; y++)
                for (int x = r.x0; x <= r.x1; x++) {
                    const int place = f.tile_cursor.data[y * f.tiles_x + x]++;
                    f.entries.data[place] = i;
                    *pair++ = place;
                }
        }
    });
}

}  // namespace tb
