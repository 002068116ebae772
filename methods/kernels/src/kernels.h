// What the bindings call: one table of functions per instruction set, all with the same meaning.
#pragma once
#include <cstdint>

#include "frame.h"

namespace tb {

struct Camera {
    float view[12];        // world to camera, OpenCV axes, the upper three rows
    float fx, fy, cx, cy;  // pixels
    int width, height;
    float eps2d;           // pixels^2 added to the diagonal of the projected covariance
    float near_plane;      // > 0, scene units
};

// n Gaussians in the world: means [n,3], quaternions [n,4] (wxyz, any length), scales [n,3], opacities [n]
struct Cloud {
    int n;
    const float *means, *quats, *scales, *opacities;
};

// The same as seen by a camera: pixels, inverse covariance (xx, xy, yy), its variances (xx, yy), z, radius (0: culled)
struct Footprints {
    float *means2d, *conics, *variances, *depths;
    int32_t* radii;
};

struct CloudGrads {
    float *means, *quats, *scales;
};

struct FootprintGrads {
    float *means2d, *conics, *opacities, *colors;
};

// Gradient of a loss with respect to an image; strides in floats, so that any memory layout is read in place.
struct ImageGrads {
    const float* color;  // null: none
    int64_t channel, row, column;
    const float* alpha;  // [height, width], null: none
};

// One level of one plane of the tri-plane grid: nodes on a lattice of pitch 1/scale, shifted by half a node.
struct GridLevel {
    float scale;
    int row;        // nodes per row when dense, 0 when hashed
    int offset;     // first entry in the plane's table
    int length;     // entries; a power of two when hashed
};

struct Grid {
    int levels, plane_entries;
    float bound;  // points live in [-bound, bound]^3
    const GridLevel* level;
    const float* table;  // [3, plane_entries]
};

struct ImagePair {
    int planes, height, width;
    const float *x, *y;
};

struct Kernels {
    const char* name;
    // Returns true if an input holds NaN or infinity (the outputs are then of no use).
    bool (*project)(const Camera&, const Cloud&, const Footprints&);
    void (*project_backward)(const Camera&, const Cloud&, const int32_t* radii, const float* g_means2d,
                             const float* g_conics, const float* g_depths, const CloudGrads&);
    bool (*pack)(Frame&, const Footprints&, const float* opacities, const float* colors);
    void (*tiles_forward)(Frame&, float* color, float* alpha);
    void (*tiles_backward)(Frame&, const ImageGrads&, int attached);
    void (*collect)(const Frame&, const float* conics, const float* opacities, const FootprintGrads&);
    void (*grid_forward)(const Grid&, int n, const float* x, float* out);
    void (*grid_backward)(const Grid&, int n, const float* x, const float* g_out, float* scratch, float* g_table,
                          float* g_x);
    // Images [planes, height, width]. sums: per task the sum of SSIM and of |x - y|. grad (may be null) gets the
    // gradient of l1_weight mean|x - y| + ssim_weight mean SSIM with respect to x.
    void (*ssim)(const ImagePair&, float l1_weight, float ssim_weight, float* scratch, double* sums, float* grad);
};

constexpr int kSsimRows = 16;  // rows per task

constexpr int64_t padded(int64_t n) { return (n + 7) & ~int64_t{7}; }
constexpr int64_t grid_scratch(int levels, int64_t n) { return 3 * (levels + 1) * padded(n); }  // floats
// Rows of scratch are a cache line longer than needed: at a power-of-two stride they would all fall into the same sets.
constexpr int64_t ssim_row(const ImagePair& p) { return (p.width + 15) / 16 * 16 + 16; }
constexpr int64_t ssim_scratch(const ImagePair& p) { return 3 * p.planes * p.height * ssim_row(p); }
constexpr int ssim_tasks(const ImagePair& p) { return p.planes * ((p.height + kSsimRows - 1) / kSsimRows); }

namespace portable { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }

}  // namespace tb
