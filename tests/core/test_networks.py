import pytest
import torch

from caufvae_lite.networks import Decoder, Encoder, patch_grid

SQUARES = [(c, side, side) for c in (1, 3) for side in (16, 28, 30, 32, 64, 96)]
SHAPES = [*SQUARES, (3, 33, 64), (1, 64, 17)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_encoder_and_decoder_take_any_picture_size(pictures, shape):
    images = pictures(2, shape)
    latents = Encoder(shape, outputs=5)(images)
    assert latents.shape == (2, 5)
    logits = Decoder(shape, inputs=5)(latents)
    assert logits.shape == images.shape
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_pictures_give_no_pictures(pictures, shape):
    networks = Encoder(shape, outputs=5), Decoder(shape, inputs=5)
    latents = networks[0](pictures(2, shape)[:0])
    logits = networks[1](latents)
    assert latents.shape == (0, 5) and logits.shape == (0, *shape)
    logits.sum().backward()
    for network in networks:
        assert all(p.grad is None or not p.grad.any() for p in network.parameters())


@pytest.mark.parametrize("shape", [(3, 30, 30), (1, 33, 20)], ids=str)
def test_every_pixel_is_seen_and_drawn(pictures, shape):
    torch.manual_seed(0)
    encoder, decoder = Encoder(shape, 4), Decoder(shape, 4)
    images = pictures(1, shape).requires_grad_()
    encoder(images).square().sum().backward()
    assert images.grad.ne(0).all()
    one, other = decoder(torch.zeros(1, 4)), decoder(torch.ones(1, 4))
    assert (one != other).all()


def test_gradient_reaches_every_parameter(pictures):
    shape = (3, 20, 20)
    networks = torch.nn.Sequential(Encoder(shape, 4), Decoder(shape, 4))
    networks(pictures(4, shape)).square().sum().backward()
    for name, parameter in networks.named_parameters():
        assert parameter.grad.ne(0).any(), name


@pytest.mark.parametrize(("side", "patch"), [(16, 1), (28, 2), (32, 2), (64, 4), (96, 6)])
def test_the_longer_side_holds_about_sixteen_patches(side, patch):
    assert patch_grid(side, 16)[0] == patch_grid(16, side)[0] == patch


@pytest.mark.parametrize("network", [Encoder, Decoder])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 64, 64), "1 or 3 channels"),
        ((64, 64), "channels, height, width"),
        ((3, 15, 64), "16 to 256"),
        ((3, 64, 257), "16 to 256"),
    ],
)
def test_impossible_picture_sizes_are_refused(network, shape, message):
    with pytest.raises(ValueError, match=message):
        network(shape, 4)
