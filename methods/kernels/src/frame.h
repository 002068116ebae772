// Everything one rendered image keeps between its forward and its backward pass.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tb {

constexpr int kTileW = 64, kTileH = 16;  // wide tiles: spans of whole vectors, few (tile, Gaussian) pairs
constexpr int kRow = kTileW + 8;         // a tile's row in memory: a vector may hang over the right edge
constexpr int kTilePixels = kTileH * kRow;
constexpr int kMaxChannels = 16;
constexpr int kInlineChannels = 5;       // colour channels inside a record; the rest lie in Frame::more_colors
constexpr int kMoreChannels = 12;        // stride of those
constexpr int kMaxSide = 16384;          // pixels; keeps coordinates in int16 and tiles below the pool's 2^20 tasks
constexpr int kChunk = 512;              // Gaussians per task

// One Gaussian as the tile kernels want it: a cache line.
// log2(alpha) = lo + a dx^2 + b dx dy + c dy^2; the ellipse alpha >= 1/255 spans, in the row at dy,
// x = mx - shear dy +- sqrt(span - taper dy^2).
struct Record {
    float mx, my, a, b, c, lo, span, taper, shear;
    int16_t x0, x1, y0, y1;  // pixels it can reach, inclusive
    float color[kInlineChannels];
};
static_assert(sizeof(Record) == 64, "a record is one cache line");

struct TileRange {
    int16_t x0, x1, y0, y1;  // inclusive; x1 < x0: none
};

// Growing array, cache-line aligned, contents lost when it grows.
template <class T>
class Buffer {
  public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer();
    void resize(size_t n);
    T* data = nullptr;

  private:
    size_t capacity_ = 0;
};

struct Frame {
    int n = 0, width = 0, height = 0;
    int channels = 0, lanes = 0;   // asked for; kernel variant (channels rounded up)
    int slot = 0;                  // floats of gradient per (tile, Gaussian) pair: 6 moments, then the channels
    int tiles_x = 0, tiles_y = 0;
    float background[kMaxChannels] = {};

    Buffer<Record> records;        // [n]
    Buffer<float> more_colors;     // [n, kMoreChannels]
    Buffer<TileRange> ranges;      // [n]
    Buffer<uint32_t> depth_keys;   // [n] bits of the depth; kCulled where nothing is drawn
    Buffer<int> first_pair;        // [n + 1] pairs of Gaussian i: first_pair[i] .. first_pair[i + 1]
    Buffer<int> pair_entry;        // pair -> its place in the tile lists
    Buffer<int> tile_start;        // [tiles + 1]
    Buffer<int> tile_cursor;       // [tiles] scratch of the binning
    Buffer<int> entries;           // the tiles' lists, front to back: Gaussian indices, padded for prefetching
    Buffer<uint64_t> sort_a, sort_b;
    Buffer<float> transmittance;   // [tiles, kTilePixels] behind the last Gaussian drawn
    Buffer<int32_t> stop;          // [tiles, kTilePixels] list place where the pixel was full
    Buffer<float> slots;           // [pairs, slot]
    int pairs = 0;
};

constexpr uint32_t kCulled = 0xffffffffu;
constexpr int kPrefetch = 6;       // list entries looked ahead

// Sizes the buffers for a frame; fills tile lists from depth_keys and ranges (after the pack kernel); sizes the slots.
void prepare(Frame& frame, int n, int width, int height, int channels);
void fill_tile_lists(Frame& frame);
void prepare_backward(Frame& frame);

}  // namespace tb
