"""BiSeNet with ResNet-18 for 19 face classes: the network of ``79999_iter.pth``, which the field's scripts parse with.

Structure: Yu et al., "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation" (ECCV 2018), in the form
of zllrunning/face-parsing.PyTorch: the spatial path is ResNet's 1/8 features. Names of the parts are the checkpoint's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from bench import classes
from bench.errors import DataError
from bench.prepare.contours import Points
from bench.prepare.parsers import Choice, Labels, resized

SIDE = 512
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's."""


class _Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, channels: int, out: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).relu()


class _Refinement(nn.Module):
    """Attention refinement: channels weighted by what the whole picture holds."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = _Unit(channels, out)
        self.conv_atten = nn.Conv2d(out, out, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        features = self.conv(x)
        return features * self.bn_atten(self.conv_atten(features.mean((2, 3), keepdim=True))).sigmoid()


class _Context(nn.Module):
    """ResNet-18, with its 1/16 and 1/32 features refined, added and brought to 1/8."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import resnet18

        self.resnet = resnet18(weights=None)
        del self.resnet.fc, self.resnet.avgpool
        self.arm16, self.arm32 = _Refinement(256, 128), _Refinement(512, 128)
        self.conv_head32, self.conv_head16 = _Unit(128, 128), _Unit(128, 128)
        self.conv_avg = _Unit(512, 128, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        net = self.resnet
        at4 = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(x)))))
        at8 = net.layer2(at4)
        at16 = net.layer3(at8)
        at32 = net.layer4(at16)
        whole = self.conv_avg(at32.mean((2, 3), keepdim=True))
        coarse = self.conv_head32(functional.interpolate(self.arm32(at32) + whole, at16.shape[2:]))
        fine = self.conv_head16(functional.interpolate(self.arm16(at16) + coarse, at8.shape[2:]))
        return at8, fine


class _Fusion(nn.Module):
    """Feature fusion: both paths together, channels that matter counted twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convblk = _Unit(channels, channels, 1)
        self.conv1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        features = self.convblk(torch.cat([spatial, context], 1))
        weight = self.conv2(self.conv1(features.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return features * weight + features


class _Head(nn.Module):
    def __init__(self, channels: int, middle: int) -> None:
        super().__init__()
        self.conv = _Unit(channels, middle)
        self.conv_out = nn.Conv2d(middle, classes.CLASSES, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """Pictures [N,3,H,W], ImageNet-normalised, H and W multiples of 32 → class scores [N,19,H,W]."""

    def __init__(self) -> None:
        super().__init__()
        self.cp = _Context()
        self.ffm = _Fusion(256)
        self.conv_out = _Head(256, 256)
        # Helped in training only; here so that a checkpoint can be loaded strictly.
        self.conv_out16, self.conv_out32 = _Head(128, 64), _Head(128, 64)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        scores = self.conv_out(self.ffm(*self.cp(x)))
        return functional.interpolate(scores, x.shape[2:], mode="bilinear", align_corners=True)


def load(path: Path) -> BiSeNet:
    """The network with a checkpoint's weights, every one of which must fit.

    Raises:
        DataError: not a checkpoint of this network, or one that would run code.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a bad or unsafe file
        raise DataError(
            f"{path}: not readable as plain weights ({str(error).splitlines()[0]}); download it again"
        ) from error
    with torch.device("meta"):  # numbers that would be overwritten at once aren't drawn
        net = BiSeNet()
    try:
        net.load_state_dict(state, assign=True)
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()[:160]
        raise DataError(f"{path}: not the weights of BiSeNet with ResNet-18, 19 classes ({reason})") from error
    return net.float().eval().requires_grad_(False)


class BiSeNetParser:
    """A loaded parser; see :func:`load` for errors. Pictures go in at 512×512, as in the field's script."""

    def __init__(self, choice: Choice, device: str = "cpu") -> None:
        self.choice, self._device = choice, device
        self._net = load(choice.file).to(device)
        self._mean, self._deviation = (torch.tensor(v, device=device)[:, None, None] for v in (_MEAN, _DEVIATION))

    def __call__(self, picture: Image.Image, points: Points) -> Labels:
        """See :class:`bench.prepare.parsers.FaceParser`; the mesh is not looked at."""
        little = np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        pixels = torch.from_numpy(little.copy()).to(self._device).permute(2, 0, 1) / 255
        with torch.inference_mode():
            ids = self._net(((pixels - self._mean) / self._deviation)[None])[0].argmax(0)
        return resized(ids.byte().cpu().numpy(), picture.size)
