// Gaussians to image footprints and back: the EWA splatting projection (Zwicker et al. 2001) with gsplat 1.5's
// conventions: the tangent is clamped to 1.3 x the field of view in the Jacobian, eps2d is added to the diagonal.
#include "kernels.h"
#include "pool.h"
#include "simd.h"

namespace tb::TB_ISA {
namespace {

constexpr float kFar = 1e10f;
constexpr float kLog2Of255 = 7.994353436858858f, kTwoLn2 = 1.3862943611198906f;
constexpr float kMaxExtent = 3.33f;  // standard deviations, as gsplat's radii

// All that both directions need of L Gaussians.
struct Projection {
    vf x, y, z, iz;            // camera space
    vf q[4], inverse_norm;     // unit quaternion wxyz, 1 / length as given
    vf scale[3], rotation[9];  // row-major
    vf m[9];                   // rotation * scale
    vf u[6];                   // Jacobian * view rotation, 2 x 3
    vf t[6];                   // u * m, 2 x 3: the covariance is t t^T + eps2d
    vf tan_x, tan_y;           // clamped x/z, y/z
    vi inside_x, inside_y;     // where the clamp did nothing
    vf cxx, cxy, cyy, det;
};

void rotate(const Cloud& cloud, int i, Projection& p) {
    for (int k = 0; k < 4; k++) p.q[k] = load_column(cloud.quats + k, 4, i, cloud.n);
    const vf norm = vsqrt(p.q[0] * p.q[0] + p.q[1] * p.q[1] + p.q[2] * p.q[2] + p.q[3] * p.q[3]);
    p.inverse_norm = 1.f / vmax(norm, splat(1e-12f));
    for (vf& q : p.q) q *= p.inverse_norm;
    const vf w = p.q[0], x = p.q[1], y = p.q[2], z = p.q[3];
    const vf r[9] = {1.f - 2.f * (y * y + z * z), 2.f * (x * y - w * z), 2.f * (x * z + w * y),
                     2.f * (x * y + w * z), 1.f - 2.f * (x * x + z * z), 2.f * (y * z - w * x),
                     2.f * (x * z - w * y), 2.f * (y * z + w * x), 1.f - 2.f * (x * x + y * y)};
    for (int k = 0; k < 3; k++) p.scale[k] = load_column(cloud.scales + k, 3, i, cloud.n);
    for (int k = 0; k < 9; k++) {
        p.rotation[k] = r[k];
        p.m[k] = r[k] * p.scale[k % 3];
    }
}

void project_lanes(const Camera& c, const Cloud& cloud, int i, Projection& p) {
    const float* v = c.view;
    const vf mx = load_column(cloud.means, 3, i, cloud.n), my = load_column(cloud.means + 1, 3, i, cloud.n);
    const vf mz = load_column(cloud.means + 2, 3, i, cloud.n);
    p.x = v[0] * mx + v[1] * my + v[2] * mz + v[3];
    p.y = v[4] * mx + v[5] * my + v[6] * mz + v[7];
    p.z = v[8] * mx + v[9] * my + v[10] * mz + v[11];
    p.iz = 1.f / p.z;
    rotate(cloud, i, p);
    const float margin_x = 0.15f * c.width / c.fx, margin_y = 0.15f * c.height / c.fy;
    const vf tx = p.x * p.iz, ty = p.y * p.iz;
    p.tan_x = clamp(tx, -c.cx / c.fx - margin_x, (c.width - c.cx) / c.fx + margin_x);
    p.tan_y = clamp(ty, -c.cy / c.fy - margin_y, (c.height - c.cy) / c.fy + margin_y);
    p.inside_x = p.tan_x == tx;
    p.inside_y = p.tan_y == ty;
    for (int k = 0; k < 3; k++) {
        p.u[k] = c.fx * p.iz * (v[k] - p.tan_x * v[8 + k]);
        p.u[3 + k] = c.fy * p.iz * (v[4 + k] - p.tan_y * v[8 + k]);
    }
    for (int k = 0; k < 3; k++) {
        p.t[k] = p.u[0] * p.m[k] + p.u[1] * p.m[3 + k] + p.u[2] * p.m[6 + k];
        p.t[3 + k] = p.u[3] * p.m[k] + p.u[4] * p.m[3 + k] + p.u[5] * p.m[6 + k];
    }
    const vf *a = p.t, *b = p.t + 3;
    const vf aa = a[0] * a[0] + a[1] * a[1] + a[2] * a[2], bb = b[0] * b[0] + b[1] * b[1] + b[2] * b[2];
    p.cxx = aa + c.eps2d;
    p.cyy = bb + c.eps2d;
    p.cxy = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    // Lagrange's identity: no cancellation for long thin Gaussians, unlike cxx cyy - cxy^2
    const vf n0 = a[1] * b[2] - a[2] * b[1], n1 = a[2] * b[0] - a[0] * b[2], n2 = a[0] * b[1] - a[1] * b[0];
    p.det = n0 * n0 + n1 * n1 + n2 * n2 + c.eps2d * (aa + bb + c.eps2d);
}

// Lanes where some input is NaN or infinite: zero times it is not zero.
vi not_finite(const Cloud& cloud, int i, vf opacity) {
    vf zero = 0.f * opacity;
    for (int k = 0; k < 3; k++) zero += 0.f * load_column(cloud.means + k, 3, i, cloud.n);
    for (int k = 0; k < 3; k++) zero += 0.f * load_column(cloud.scales + k, 3, i, cloud.n);
    for (int k = 0; k < 4; k++) zero += 0.f * load_column(cloud.quats + k, 4, i, cloud.n);
    return ~(zero == 0.f);
}

bool project_block(const Camera& c, const Cloud& cloud, const Footprints& out, int i) {
    Projection p;
    project_lanes(c, cloud, i, p);
    const vf opacity = load_column(cloud.opacities, 1, i, cloud.n);
    const vf log_ratio = vmax(vlog2(vmax(opacity, splat(1e-20f))) + kLog2Of255, splat(0.f));
    const vf extent = vmin(splat(kMaxExtent), vsqrt(kTwoLn2 * log_ratio));
    const vf u = c.fx * p.x * p.iz + c.cx, v = c.fy * p.y * p.iz + c.cy;
    const vf rx = vceil(vmin(extent * vsqrt(p.cxx), splat(1e9f))), ry = vceil(vmin(extent * vsqrt(p.cyy), splat(1e9f)));
    const vi seen = (p.z >= c.near_plane) & (p.z < kFar) & (opacity >= 1.f / 255.f) & (p.det > 0.f) & (p.det < 3e38f) &
                    (u + rx > 0.f) & (u - rx < static_cast<float>(c.width)) & (v + ry > 0.f) &
                    (v - ry < static_cast<float>(c.height));
    const vf inverse = 1.f / p.det;
    const vf columns[8] = {u, v, p.cyy * inverse, -p.cxy * inverse, p.cxx * inverse, p.cxx, p.cyy, vmax(rx, ry)};
    for (int l = 0; l < L && i + l < cloud.n; l++) {
        const int64_t j = i + l;
        float row[8];
        for (int k = 0; k < 8; k++) row[k] = seen[l] ? columns[k][l] : 0.f;
        for (int k = 0; k < 2; k++) out.means2d[j * 2 + k] = row[k];
        for (int k = 0; k < 3; k++) out.conics[j * 3 + k] = row[2 + k];
        for (int k = 0; k < 2; k++) out.variances[j * 2 + k] = row[5 + k];
        out.depths[j] = p.z[l];
        out.radii[j] = static_cast<int32_t>(row[7]);
    }
    return bits(not_finite(cloud, i, opacity)) != 0;
}

struct BackwardInput {
    const int32_t* radii;
    const float *means2d, *conics, *depths;  // gradients; depths may be null
};

// d(loss)/d(t), 2 x 3, from the gradient of the conic: dCov = -X G X with X the conic and G its symmetric gradient.
void conic_to_factor(const Projection& p, vf g_xx, vf g_xy, vf g_yy, vf* g_t) {
    const vf inverse = 1.f / p.det, a = p.cyy * inverse, b = -p.cxy * inverse, c = p.cxx * inverse, half = 0.5f * g_xy;
    const vf p0 = a * g_xx + b * half, p1 = a * half + b * g_yy, p2 = b * g_xx + c * half, p3 = b * half + c * g_yy;
    const vf xx = -(p0 * a + p1 * b), xy = -(p0 * b + p1 * c), yy = -(p2 * b + p3 * c);
    for (int k = 0; k < 3; k++) {
        g_t[k] = 2.f * (xx * p.t[k] + xy * p.t[3 + k]);
        g_t[3 + k] = 2.f * (xy * p.t[k] + yy * p.t[3 + k]);
    }
}

// Gradient of the camera-space position from those of the pixel position, of u = J W, and of the depth.
void position_grad(const Camera& c, const Projection& p, vf g_u2d, vf g_v2d, const vf* g_u, vf g_depth, vf* g) {
    const float* v = c.view;
    const vf jx = c.fx * p.iz, jy = c.fy * p.iz;
    const vf g_row_x = g_u[0] * v[0] + g_u[1] * v[1] + g_u[2] * v[2], g_tan_x = g_u[0] * v[8] + g_u[1] * v[9] + g_u[2] * v[10];
    const vf g_row_y = g_u[3] * v[4] + g_u[4] * v[5] + g_u[5] * v[6], g_tan_y = g_u[3] * v[8] + g_u[4] * v[9] + g_u[5] * v[10];
    // u = (f / z) (row - tan * third row), tan = x / z unless clamped
    const vf tx = zero_unless(p.inside_x, -jx * g_tan_x * p.iz), ty = zero_unless(p.inside_y, -jy * g_tan_y * p.iz);
    g[0] = g_u2d * jx + tx;
    g[1] = g_v2d * jy + ty;
    g[2] = g_depth - (g_u2d * jx * p.x + g_v2d * jy * p.y) * p.iz - tx * p.tan_x - ty * p.tan_y -
           jx * p.iz * (g_row_x - p.tan_x * g_tan_x) - jy * p.iz * (g_row_y - p.tan_y * g_tan_y);
}

void quaternion_grad(const Projection& p, const vf* g, vf* out) {  // g = d(loss)/d(rotation)
    const vf w = p.q[0], x = p.q[1], y = p.q[2], z = p.q[3];
    out[0] = 2.f * (x * (g[7] - g[5]) + y * (g[2] - g[6]) + z * (g[3] - g[1]));
    out[1] = 2.f * (-2.f * x * (g[4] + g[8]) + y * (g[1] + g[3]) + z * (g[2] + g[6]) + w * (g[7] - g[5]));
    out[2] = 2.f * (x * (g[1] + g[3]) - 2.f * y * (g[0] + g[8]) + z * (g[5] + g[7]) + w * (g[2] - g[6]));
    out[3] = 2.f * (x * (g[2] + g[6]) + y * (g[5] + g[7]) - 2.f * z * (g[0] + g[4]) + w * (g[3] - g[1]));
    const vf along = out[0] * w + out[1] * x + out[2] * y + out[3] * z;  // the length has no effect
    for (int k = 0; k < 4; k++) out[k] = (out[k] - along * p.q[k]) * p.inverse_norm;
}

void project_backward_block(const Camera& c, const Cloud& cloud, const BackwardInput& in, const CloudGrads& out, int i) {
    const int n = cloud.n;
    Projection p;
    project_lanes(c, cloud, i, p);
    vf g_t[6], g_m[9], g_u[6], g_rotation[9], column[10];
    conic_to_factor(p, load_column(in.conics, 3, i, n), load_column(in.conics + 1, 3, i, n),
                    load_column(in.conics + 2, 3, i, n), g_t);
    for (int r = 0; r < 3; r++) {
        for (int k = 0; k < 3; k++) g_m[r * 3 + k] = p.u[r] * g_t[k] + p.u[3 + r] * g_t[3 + k];
        g_u[r] = g_t[0] * p.m[r * 3] + g_t[1] * p.m[r * 3 + 1] + g_t[2] * p.m[r * 3 + 2];
        g_u[3 + r] = g_t[3] * p.m[r * 3] + g_t[4] * p.m[r * 3 + 1] + g_t[5] * p.m[r * 3 + 2];
    }
    vf g_camera[3];
    position_grad(c, p, load_column(in.means2d, 2, i, n), load_column(in.means2d + 1, 2, i, n), g_u,
                  in.depths ? load_column(in.depths, 1, i, n) : splat(0.f), g_camera);
    for (int k = 0; k < 3; k++) {
        column[k] = c.view[k] * g_camera[0] + c.view[4 + k] * g_camera[1] + c.view[8 + k] * g_camera[2];
        column[3 + k] = g_m[k] * p.rotation[k] + g_m[3 + k] * p.rotation[3 + k] + g_m[6 + k] * p.rotation[6 + k];
    }
    for (int k = 0; k < 9; k++) g_rotation[k] = g_m[k] * p.scale[k % 3];
    quaternion_grad(p, g_rotation, column + 6);
    for (int l = 0; l < L && i + l < n; l++) {
        const int64_t j = i + l;
        const bool seen = in.radii[j] > 0;
        for (int k = 0; k < 3; k++) out.means[j * 3 + k] = seen ? column[k][l] : 0.f;
        for (int k = 0; k < 3; k++) out.scales[j * 3 + k] = seen ? column[3 + k][l] : 0.f;
        for (int k = 0; k < 4; k++) out.quats[j * 4 + k] = seen ? column[6 + k][l] : 0.f;
    }
}

}  // namespace

bool project(const Camera& c, const Cloud& cloud, const Footprints& out) {
    int bad = 0;
    parallel((cloud.n + kChunk - 1) / kChunk, [&](int chunk) {
        const int end = imin(cloud.n, (chunk + 1) * kChunk);
        for (int i = chunk * kChunk; i < end; i += L)
            if (project_block(c, cloud, out, i)) __atomic_store_n(&bad, 1, __ATOMIC_RELAXED);
    });
    return bad != 0;
}

void project_backward(const Camera& c, const Cloud& cloud, const int32_t* radii, const float* g_means2d,
                      const float* g_conics, const float* g_depths, const CloudGrads& out) {
    const BackwardInput in{radii, g_means2d, g_conics, g_depths};
    parallel((cloud.n + kChunk - 1) / kChunk, [&](int chunk) {
        const int end = imin(cloud.n, (chunk + 1) * kChunk);
        for (int i = chunk * kChunk; i < end; i += L) project_backward_block(c, cloud, in, out, i);
    });
}

}  // namespace tb::TB_ISA
