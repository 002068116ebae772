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

// Raw parameters of n canonical Gaussians: xyz [n,3], scaling [n,3] (softplus), rotation [n,4], opacity [n] (sigmoid),
// f_dc [n,3], f_rest [n,8,3], seen from a camera at `centre` with 1, 4 or 9 bands of spherical harmonics.
struct Canonical {
    int n, bands;
    const float *xyz, *scaling, *rotation, *opacity, *f_dc, *f_rest;
    float centre[3];
};

// What moves them: offsets [n, width], width 0 (none), 3 (position) or 11 (position, rotation, opacity (not used), scale).
// Codes' norms become further colour channels.
struct Motion {
    int width, codes;
    const float* offsets;
    float axis[3];          // factors of the position's offsets
    float weight[11];       // of |offset| in the size of the motion
    const float* code[2];   // [n, code_width]
    int code_width[2];
};

// What the rasteriser takes, or its gradient: means [n,3], scales [n,3], quats [n,4], opacities [n], colors [n, 3 + codes]
struct Gaussians {
    float *means, *scales, *quats, *opacities, *colors;
};

// Null: not wanted. Those of xyz and rotation are the gradients of means and quats.
struct CanonicalGrads {
    float *scaling, *opacity, *f_dc, *f_rest, *offsets;
    float* code[2];
};

// Bias-free layers with ReLU between them. The input is the parts side by side.
constexpr int kMlpLayers = 4, kMlpParts = 4, kMlpWidest = 256;
struct Mlp {
    int points, layers, parts;
    int64_t padded_points;            // whole blocks
    const float* part[kMlpParts];     // [points, part_width]
    int part_width[kMlpParts];
    int width[kMlpLayers + 1];        // width[0]: of all parts together
    const float* weight[kMlpLayers];  // [width[l + 1], width[l]]
    const float* offset;              // [width[1]], added before the first ReLU; null: none
    bool relu_last;
};

struct MlpGrads {
    float* part[kMlpParts];  // null: not wanted
    float* weight[kMlpLayers];
    float* offset;           // null: not wanted
};

// A stack of 1-d convolutions with 3 taps and padding 1: [batch, channels[0], length[0]] to the last of each, weights
// [out, in, 3], leaky ReLU after each.
constexpr int kConvLayers = 6;
struct ConvStack {
    int batch, layers, stride;
    float slope;
    int channels[kConvLayers + 1], length[kConvLayers + 1];
    const float *weight[kConvLayers], *bias[kConvLayers];
};

struct ConvGrads {
    float* x;  // null: not wanted
    float *weight[kConvLayers], *bias[kConvLayers];
};

// n rays, any length of direction; they start at near + jitter (null: 0) steps.
struct Rays {
    int n;
    const float *origins, *directions, *jitter;
};

// Which cells of [-bound, bound]^3 hold anything, [side, side, side] by x, y, z; rays are followed inside the box only.
struct Occupancy {
    int side;
    const uint8_t* cells;
    float bound, low[3], high[3];
    float near_limit, step;  // in lengths of a ray's direction
    int most;                // samples a ray
};

// Samples along n rays: those of ray r are offsets[r] .. offsets[r + 1] - 1, from near to far.
struct RaySamples {
    int n, width;
    const int64_t* offsets;
    const float *optical, *values;  // [S] density x length, [S, width]
    float stop;                     // a ray ends once less light than this comes through
};

constexpr int kRaysPerTask = 256;

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
    // sums: per kChunk Gaussians, of weight |offset|
    void (*deform)(const Canonical&, const Motion&, const Gaussians& out, double* sums);
    void (*deform_backward)(const Canonical&, const Motion&, const Gaussians& out, const Gaussians& gradients, float g_size,
                            const CanonicalGrads&);
    void (*grid_forward)(const Grid&, int n, const float* x, float* out);
    void (*grid_backward)(const Grid&, int n, const float* x, const float* g_out, float* scratch, float* g_table,
                          float* g_x);
    // hidden (may be null): room for the activations that the backward pass wants, mlp_hidden floats.
    void (*mlp_forward)(const Mlp&, float* scratch, float* hidden, float* out);
    void (*mlp_backward)(const Mlp&, float* scratch, float* hidden, const float* out, const float* g_out, const MlpGrads&);
    // kept: room for all activations, conv_kept floats.
    void (*conv_forward)(const ConvStack&, const float* x, float* scratch, float* kept, float* out);
    void (*conv_backward)(const ConvStack&, float* scratch, float* kept, const float* g_out, const ConvGrads&);
    // Images [planes, height, width]. sums: per task the sum of SSIM and of |x - y|. grad (may be null) gets the
    // gradient of l1_weight mean|x - y| + ssim_weight mean SSIM with respect to x.
    void (*ssim)(const ImagePair&, float l1_weight, float ssim_weight, float* scratch, double* sums, float* grad);
    // t [n, most]: where each ray's samples begin; counts [n]: how many it has
    void (*march)(const Rays&, const Occupancy&, float* t, int32_t* counts);
    // weights [S], out [n, width], opacity [n]
    void (*shine)(const RaySamples&, float* weights, float* out, float* opacity);
    // g_optical [S], g_values (may be null) [S, width]
    void (*shine_backward)(const RaySamples&, const float* weights, const float* g_out, const float* g_opacity,
                           float* g_optical, float* g_values);
};

constexpr int kSsimRows = 16;  // rows per task

constexpr int64_t padded(int64_t n) { return (n + 7) & ~int64_t{7}; }
constexpr int64_t grid_scratch(int levels, int64_t n) { return 3 * (levels + 1) * padded(n); }  // floats
// Rows of scratch are a cache line longer than needed: at a power-of-two stride they would all fall into the same sets.
constexpr int64_t ssim_row(const ImagePair& p) { return (p.width + 15) / 16 * 16 + 16; }
constexpr int64_t ssim_scratch(const ImagePair& p) { return 3 * p.planes * p.height * ssim_row(p); }
constexpr int ssim_tasks(const ImagePair& p) { return p.planes * ((p.height + kSsimRows - 1) / kSsimRows); }

constexpr int kMlpBlock = 48;  // points whose activations are in the caches together
constexpr int kMlpTasks = 8;   // partial sums of the weights' gradients: fixed, so that they don't depend on the threads
// A row is longer than needed: at a power-of-two stride all rows would fall into the same cache sets.
static constexpr int mlp_row(int width) { return (width + 15) / 16 * 16 + 16; }
static constexpr int64_t mlp_packed(int outputs, int inputs) {
    const int64_t down = (outputs + 15) / 16 * 16 * int64_t{inputs}, along = (inputs + 15) / 16 * 16 * int64_t{outputs};
    return down > along ? down : along;
}
static inline int64_t mlp_hidden(const Mlp& net) {
    int64_t floats = 0;
    for (int l = 1; l < net.layers; l++) floats += net.padded_points * mlp_row(net.width[l]);
    return floats;
}
static inline int64_t mlp_sums(const Mlp& net) {
    int64_t floats = mlp_row(net.width[1]);
    for (int l = 0; l < net.layers; l++) floats += net.width[l + 1] * mlp_row(net.width[l]);
    return floats;
}
static inline int64_t mlp_scratch(const Mlp& net) {
    int64_t floats = kMlpTasks * mlp_sums(net);
    for (int l = 0; l < net.layers; l++) floats += mlp_packed(net.width[l + 1], net.width[l]);
    return floats;
}

static constexpr int conv_row(int channels) { return (channels + 15) / 16 * 16; }  // channels last, whole vectors
static inline int64_t conv_kept(const ConvStack& s) {
    int64_t floats = 0;
    for (int l = 0; l <= s.layers; l++) floats += int64_t{s.batch} * s.length[l] * conv_row(s.channels[l]);
    return floats;
}
static inline int64_t conv_scratch(const ConvStack& s) {  // four parts, each large enough for any layer's matrices
    int64_t part = 0;
    for (int l = 0; l < s.layers; l++) {
        const int64_t depth = conv_row(3 * s.channels[l]), outputs = conv_row(s.channels[l + 1]);
        const int64_t rows = int64_t{s.batch} * s.length[l];
        const int64_t largest = (rows > outputs ? rows : outputs) * (depth > outputs ? depth : outputs);
        part = largest > part ? largest : part;
    }
    return 4 * part;
}

namespace portable { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }

}  // namespace tb
