"""Small convolutional networks and Vision Transformers for 8 x 8 images: `fit`, `predict`."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

SIDE, CLASSES, BATCH = 8, 10, 64
MEAN, SPREAD = 0.3, 0.4  # of all pixels, roughly: networks learn faster from centred values


class Convolutions(nn.Sequential):
    """3 x 3 convolutions, halving the image after every second one, and a linear read-out."""

    def __init__(self, width=16, depth=2, dropout=0.0, norm=False, pool=False):
        layers, side, channels = [], SIDE, 1
        for layer in range(depth):
            layers += (
                [nn.Conv2d(channels, width, 3, padding=1)]
                + [nn.BatchNorm2d(width)] * norm
                + [nn.ReLU()]
            )
            channels = width
            if layer % 2 and side > 2:
                layers.append(nn.MaxPool2d(2))
                side //= 2
        if pool:  # the mean over places forgets where a stroke was: a different kind of error
            layers.append(nn.AdaptiveAvgPool2d(1))
            side = 1
        super().__init__(
            *layers, nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels * side**2, CLASSES)
        )


class Block(nn.Module):
    """A pre-norm Transformer block: self-attention, a two-layer perceptron, each added on."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.drop = heads, nn.Dropout(dropout)
        self.norm, self.qkv, self.out = (
            nn.LayerNorm(width),
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x):
        """Map tokens of shape (batch, tokens, width) to the same shape."""
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(-1)
        mixed = (weights @ value).transpose(1, 2).reshape(batch, tokens, width)
        x = x + self.drop(self.out(mixed))
        return x + self.drop(self.mlp(x))


class VisionTransformer(nn.Module):
    """Patches as tokens, learned positions, blocks, and a linear read-out of the mean token."""

    def __init__(self, patch=2, width=32, depth=2, heads=2, dropout=0.0, positions=True):
        super().__init__()
        self.embed = nn.Conv2d(1, width, patch, stride=patch)
        where = torch.randn(1, (SIDE // patch) ** 2, width) * 0.2
        # Without positions the model sees a bag of patches: a handicap worth having.
        self.where = nn.Parameter(where) if positions else 0.0
        self.blocks = nn.Sequential(*[Block(width, heads, dropout) for _ in range(depth)])
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, CLASSES))

    def forward(self, images):
        """Map images of shape (batch, 1, 8, 8) to class scores."""
        tokens = self.embed(images).flatten(2).transpose(1, 2) + self.where
        return self.head(self.blocks(tokens).mean(1))


ARCHITECTURES = {"cnn": Convolutions, "transformer": VisionTransformer}
OPTIMISERS = {
    "adam": lambda weights, lr: torch.optim.AdamW(weights, lr=lr),
    "sgd": lambda weights, lr: torch.optim.SGD(weights, lr=lr, momentum=0.9),
    "rmsprop": lambda weights, lr: torch.optim.RMSprop(weights, lr=lr),
}


def shifted(images, generator):
    """Move every image by -1, 0 or 1 pixel in both directions, each image on its own."""
    padded = F.pad(images, (1, 1, 1, 1), value=-MEAN / SPREAD)  # the value of an empty pixel
    down, right = torch.randint(0, 3, (2, len(images), 1), generator=generator)
    line = torch.arange(SIDE)
    rows, columns = (down + line)[:, :, None], (right + line)[:, None, :]
    return padded[torch.arange(len(images))[:, None, None], 0, rows, columns][:, None]


class NetClassifier:
    """A network with its training recipe, used like an estimator of scikit-learn."""

    def __init__(
        self, kind, seed, epochs=10, optimiser="adam", lr=2e-3, shift=False, **architecture
    ):
        self.kind, self.seed, self.epochs, self.shift = kind, seed, epochs, shift
        self.optimiser, self.lr, self.architecture = optimiser, lr, architecture

    def fit(self, x, y):
        """Train from a fresh start, so that the seed alone decides the result."""
        torch.set_num_threads(1)  # sums over several threads may round differently from run to run
        images, labels = self._tensor(x), torch.as_tensor(np.asarray(y, dtype=np.int64))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.net = ARCHITECTURES[self.kind](**self.architecture).train()
            self._train(images, labels, torch.Generator().manual_seed(self.seed))
        self.net.eval()
        return self

    def _train(self, images, labels, generator):
        """Run the epochs with a learning rate that falls linearly to zero."""
        step = OPTIMISERS[self.optimiser](self.net.parameters(), self.lr)
        total = self.epochs * -(-len(images) // BATCH)
        decay = torch.optim.lr_scheduler.LambdaLR(step, lambda done: 1 - done / total)
        for _ in range(self.epochs):
            for rows in torch.randperm(len(images), generator=generator).split(BATCH):
                batch = shifted(images[rows], generator) if self.shift else images[rows]
                step.zero_grad()
                F.cross_entropy(self.net(batch), labels[rows]).backward()
                step.step()
                decay.step()

    def predict(self, x):
        """Return the most likely class of every image."""
        with torch.no_grad():
            return self.net(self._tensor(x)).argmax(1).numpy()

    @property
    def n_parameters(self):
        """The number of trainable parameters."""
        return sum(weights.numel() for weights in self.net.parameters() if weights.requires_grad)

    @staticmethod
    def _tensor(x):
        """Turn rows of 64 pixels into a batch of centred one-channel images."""
        return (
            torch.as_tensor(np.asarray(x, dtype=np.float32)).view(-1, 1, SIDE, SIDE) - MEAN
        ) / SPREAD
