// The table of this instruction set.
#include "kernels.h"

#define TB_NAME_(isa) #isa
#define TB_NAME(isa) TB_NAME_(isa)

namespace tb::TB_ISA {

bool project(const Camera&, const Cloud&, const Footprints&);
void project_backward(const Camera&, const Cloud&, const int32_t*, const float*, const float*, const float*,
                      const CloudGrads&);
bool pack(Frame&, const Footprints&, const float*, const float*);
void tiles_forward(Frame&, float*, float*);
void tiles_backward(Frame&, const ImageGrads&, int);
void collect(const Frame&, const float*, const float*, const FootprintGrads&);
void deform(const Canonical&, const Motion&, const Gaussians&, double*);
void deform_backward(const Canonical&, const Motion&, const Gaussians&, const Gaussians&, float, const CanonicalGrads&);
void grid_forward(const Grid&, int, const float*, float*);
void grid_backward(const Grid&, int, const float*, const float*, float*, float*, float*);
void mlp_forward(const Mlp&, float*, float*, float*);
void mlp_backward(const Mlp&, float*, float*, const float*, const float*, const MlpGrads&);
void conv_forward(const ConvStack&, const float*, float*, float*, float*);
void conv_backward(const ConvStack&, float*, float*, const float*, const ConvGrads&);
void ssim(const ImagePair&, float, float, float*, double*, float*);
void march(const Rays&, const Occupancy&, float*, int32_t*);
void shine(const RaySamples&, float*, float*, float*);
void shine_backward(const RaySamples&, const float*, const float*, const float*, float*, float*);

extern const Kernels kernels = {
    TB_NAME(TB_ISA), project, project_backward, pack,         tiles_forward, tiles_backward, collect,
    deform,          deform_backward,           grid_forward, grid_backward, mlp_forward,    mlp_backward,
    conv_forward,    conv_backward,             ssim,         march,         shine,          shine_backward};

}  // namespace tb::TB_ISA
