"""Drives pythae 0.1.2 by its own trainer, pipeline and sampler, so that Morphogen can be measured beside it.

Run by the python of `bench/setup_peer.sh` (.bench/pythae-venv); imports nothing of Morphogen. Every sub-command
prints JSON, one object a line, on stdout; pythae's own log goes to stderr. MNIST is read from $MORPHOGEN_DATA
(a folder with the idx files, or with mnist/ in it). Nothing of pythae is patched or replaced, and where a choice of
how to measure it had to be made, it was made in pythae's favour (see `Worker`).

    step    --model mlp|conv|resnet --threads N     a worker: one JSON request a line on stdin, one answer on stdout
    whole   --threads N --out DIR                   import, load, one epoch, evaluate, save, sample, reconstruct
    sample  --model M --threads N --count N         img/s of its NormalSampler
    quality --minutes N --out DIR                   its VAE, trained for N minutes on binarised digits -> weights

Weights are plain .npz files, whose names are those of pythae's state dict.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import argparse  # noqa: E402
import contextlib  # noqa: E402
import gzip  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

OUT = os.fdopen(os.dup(1), "w", buffering=1)  # answers; whatever pythae prints goes where errors go
os.dup2(2, 1)

import numpy as np  # noqa: E402


def say(**facts):
    OUT.write(json.dumps(facts) + "\n")
    OUT.flush()


def digits(part):
    """The images of one part of MNIST: uint8 (n, 28, 28)."""
    home = Path(os.environ.get("MORPHOGEN_DATA", "data"))
    stem = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}[part]
    for folder in (home, home / "mnist"):
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.exists():
                data = path.read_bytes()
                data = gzip.decompress(data) if path.suffix == ".gz" else data
                assert int.from_bytes(data[:4], "big") == 2051, f"{path} holds no images"
                return np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)
    raise SystemExit(f"no {stem}[.gz] in {home} or {home}/mnist; set MORPHOGEN_DATA")


def facts():
    """What every answer should say about the process."""
    from importlib.metadata import version

    import torch

    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "pythae": version("pythae"),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "peak_mib": usage.ru_maxrss / 1024,
        "cpu_s": usage.ru_utime + usage.ru_stime,
    }


def build(name, latent, loss, seed):
    """One of pythae's VAEs on 28x28 pixels: the nets are its own."""
    import torch
    from pythae.models import VAE, VAEConfig

    torch.manual_seed(seed)
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=latent, reconstruction_loss=loss)
    if name == "mlp":
        return VAE(model_config=config)
    if name == "conv":
        from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST as Decoder
        from pythae.models.nn.benchmarks.mnist import Encoder_Conv_VAE_MNIST as Encoder
    else:
        from pythae.models.nn.benchmarks.mnist import Decoder_ResNet_AE_MNIST as Decoder
        from pythae.models.nn.benchmarks.mnist import Encoder_ResNet_VAE_MNIST as Encoder
    return VAE(model_config=config, encoder=Encoder(config), decoder=Decoder(config))


def dump(model, path, **more):
    """A model's numbers as plain arrays."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    np.savez(path, **arrays, **more)
    return str(path)


def training_config(ask, folder, epochs=1):
    from pythae.trainers import BaseTrainerConfig

    return BaseTrainerConfig(
        output_dir=str(folder),
        num_epochs=epochs,
        learning_rate=ask.rate,
        per_device_train_batch_size=ask.batch,
        per_device_eval_batch_size=ask.batch,
        optimizer_cls="Adam",
        no_cuda=True,
        seed=ask.seed,
    )


class Endless:
    """pythae's own DataLoader, `steps` batches at a time: the shuffle that begins an epoch is paid once an epoch."""

    def __init__(self, loader):
        self.loader, self.dataset, self.steps = loader, loader.dataset, 0
        self.rest = itertools.chain.from_iterable(loader for _ in itertools.count())

    def __len__(self):
        return self.steps

    def __iter__(self):
        return itertools.islice(self.rest, self.steps)


class Fixed(list):
    """Batches that were chosen beforehand, for parity."""

    def __init__(self, dataset, batches):
        super().__init__(batches)
        self.dataset = dataset


class Worker:
    """pythae's BaseTrainer over its own dataset and loader; what is timed is `BaseTrainer.train_step` and no more.

    In its favour: the progress bar and the console printer are taken off (callbacks are the user's to choose), the
    sanity check, the copy of the best model and the save are left out, and its data is float32 in memory already.
    """

    def __init__(self, ask):
        import torch
        from pythae.data.preprocessors import DataProcessor
        from pythae.trainers import BaseTrainer
        from pythae.trainers.training_callbacks import CallbackHandler, TrainingCallback

        self.ask = ask
        self.model = build(ask.model, ask.latent, ask.loss, ask.seed)
        images = torch.from_numpy(digits("train")[: ask.images].copy()).unsqueeze(1).float() / 255
        self.data = DataProcessor.to_dataset(images)
        self.folder = tempfile.TemporaryDirectory()
        self.trainer = BaseTrainer(self.model, self.data, training_config=training_config(ask, self.folder.name))
        self.trainer.prepare_training()
        self.trainer.callback_handler = CallbackHandler([TrainingCallback()], model=self.model)
        self.loader = Endless(self.trainer.train_loader)

    def run(self, steps):
        """`steps` training steps: wall seconds, CPU seconds, mean loss."""
        self.loader.steps, self.trainer.train_loader = steps, self.loader
        cpu, wall = time.process_time(), time.perf_counter()
        loss = self.trainer.train_step(1)
        wall = time.perf_counter() - wall
        return {"seconds": wall, "cpu_seconds": time.process_time() - cpu, "steps": steps, "loss": loss}

    def parity(self, steps, file, seed=0):
        """The losses of `steps` steps from these weights, with all that another program needs to take the same ones.

        The file holds the weights before, `rows` (which images, of the training set / 255), `noise` (the posterior's
        draws) and `loss`. Adam starts afresh.
        """
        import torch
        from pythae.data.datasets import collate_dataset_output

        self.trainer.set_optimizer()
        rows = np.random.default_rng(seed).integers(len(self.data), size=(steps, self.ask.batch))
        noise, losses = [], []
        before = {name: value.detach().clone().numpy() for name, value in self.model.state_dict().items()}
        for step in range(steps):
            batch = collate_dataset_output([self.data[int(i)] for i in rows[step]])
            self.trainer.train_loader = Fixed(self.data, [batch])
            torch.manual_seed(seed + step)
            noise.append(torch.randn(self.ask.batch, self.ask.latent).numpy())
            torch.manual_seed(seed + step)  # the same numbers, now for pythae: its only draw in a step
            losses.append(self.trainer.train_step(1))
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **before, rows=rows, noise=np.stack(noise), loss=np.array(losses))
        return {"file": file, "loss": losses}

    def sample(self, count, batch=500):
        """`count` images by its NormalSampler, as it is meant to be used."""
        from pythae.samplers import NormalSampler

        self.model.eval()
        sampler = NormalSampler(self.model)
        cpu, wall = time.process_time(), time.perf_counter()
        images = sampler.sample(num_samples=count, batch_size=batch)
        wall = time.perf_counter() - wall
        assert images.shape == (count, 1, 28, 28)
        return {"seconds": wall, "cpu_seconds": time.process_time() - cpu, "images": count}

    def weights(self, file):
        return {"file": dump(self.model, file)}

    def facts(self):
        return facts() | {"model": self.ask.model, "parameters": sum(p.numel() for p in self.model.parameters())}


def step(ask):
    """Answers requests like {"do": "run", "steps": 50}, or parity, sample, weights, facts. An empty line ends it."""
    worker = Worker(ask)
    say(ready=True, **worker.facts())
    for line in sys.stdin:
        if not line.strip():
            break
        request = json.loads(line)
        try:
            say(**getattr(worker, request.pop("do"))(**request))
        except Exception as error:  # the other side decides what to do about it
            say(error=f"{type(error).__name__}: {error}")


def sample(ask):
    worker = Worker(ask)
    worker.sample(2 * ask.sample_batch, ask.sample_batch)
    took = [worker.sample(ask.count, ask.sample_batch)["seconds"] for _ in range(ask.rounds)]
    say(seconds=took, median_s=statistics.median(took), images=ask.count, **worker.facts())


def whole(ask):
    """What a user's script does, from nothing to pictures, by the pipeline of pythae's README."""
    phases, last = {}, STARTED

    def mark(name):
        nonlocal last
        now = time.perf_counter()
        phases[name], last = now - last, now

    import torch
    from pythae.pipelines import TrainingPipeline
    from pythae.samplers import NormalSampler
    from pythae.trainers.training_callbacks import TrainingCallback

    mark("import")
    train, test = (digits(part).reshape(-1, 1, 28, 28) / 255.0 for part in ("train", "test"))
    mark("load")

    losses = {}

    class Keep(TrainingCallback):
        def on_log(self, training_config, logs, **kwargs):
            losses.update({name: float(value) for name, value in logs.items()})

    model = build(ask.model, ask.latent, ask.loss, ask.seed)
    folder = Path(ask.out or tempfile.mkdtemp())
    if ask.weights:
        dump(model, ask.weights)
    pipeline = TrainingPipeline(model=model, training_config=training_config(ask, folder, ask.epochs))
    pipeline(train_data=train, eval_data=test, callbacks=[Keep()])
    mark("train, evaluate, save")
    pictures = NormalSampler(model).sample(num_samples=ask.count, batch_size=ask.sample_batch)
    mark("sample")
    with torch.no_grad():
        again = model.reconstruct(torch.from_numpy(test).float())
    mark("reconstruct")
    assert pictures.shape == (ask.count, 1, 28, 28)
    assert again.shape == test.shape
    say(
        seconds=time.perf_counter() - STARTED,
        phases=phases,
        train_loss=losses["train_epoch_loss"],
        test_loss=losses["eval_epoch_loss"],
        saved=[str(p) for p in sorted(folder.rglob("model.pt"))],
        **facts(),
    )


class Done(Exception):
    """The time is over."""


def quality(ask):
    """pythae's VAE for `minutes` of training on digits binarised anew at every visit, then its weights.

    The coins are tossed a whole batch at a time (`__getitems__`), which is the cheapest way its loader allows.
    Time is that of `trainer.train()`, from its first line to its last step; the rest of the process is not counted.
    """
    import torch
    from pythae.data.datasets import DatasetOutput
    from pythae.trainers import BaseTrainer
    from pythae.trainers.training_callbacks import TrainingCallback

    out = Path(ask.out or tempfile.mkdtemp())
    images = torch.from_numpy(digits("train")[: ask.images].copy()).unsqueeze(1)

    class Coins(torch.utils.data.Dataset):
        def __len__(self):
            return len(images)

        def __getitem__(self, index):
            return self.__getitems__([index])[0]

        def __getitems__(self, rows):
            x = torch.bernoulli(images[torch.as_tensor(rows)].float() / 255)
            return [DatasetOutput(data=each) for each in x]

    model = build(ask.model, ask.latent, "bce", ask.seed)
    curve, marks, state = [], [], {"steps": 0, "start": 0.0}
    lengths = [float(m) for m in ask.every.split(",") if m] if ask.every else []
    pending = sorted(m for m in lengths if m < ask.minutes)

    class Watch(TrainingCallback):
        def on_train_begin(self, training_config, **kwargs):
            state["start"] = time.perf_counter()

        def on_train_step_end(self, training_config, **kwargs):
            state["steps"] += 1
            minutes = (time.perf_counter() - state["start"]) / 60
            if pending and minutes >= pending[0]:
                pending.pop(0)
                pause = time.perf_counter()
                marks.append([minutes, dump(model, out / f"weights-{minutes:.2f}min.npz")])
                state["start"] += time.perf_counter() - pause
            if minutes * 60 >= ask.minutes * 60:
                raise Done

        def on_log(self, training_config, logs, **kwargs):
            minutes = (time.perf_counter() - state["start"]) / 60
            curve.append([minutes, state["steps"], float(logs["train_epoch_loss"])])

    first = dump(model, out / "weights-first.npz")
    config = training_config(ask, out / "pythae", epochs=10**6)
    trainer = BaseTrainer(model, Coins(), training_config=config, callbacks=[Watch()])
    with contextlib.suppress(Done):
        trainer.train()
    seconds = time.perf_counter() - state["start"]
    last = dump(model, out / "weights.npz")
    say(seconds=seconds, steps=state["steps"], first=first, weights=last, marks=marks, curve=curve[-1:], **facts())
    (out / "curve.json").write_text(json.dumps(curve))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["step", "whole", "sample", "quality"])
    parser.add_argument("--model", choices=["mlp", "conv", "resnet"], default="mlp")
    parser.add_argument("--threads", type=int, default=0, help="0: as torch finds them")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--latent", type=int, default=16)
    parser.add_argument("--loss", choices=["bce", "mse"], default="bce")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--images", type=int, default=60_000, help="how many training images")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--count", type=int, default=10_000, help="images to sample")
    parser.add_argument("--sample-batch", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--every", default="", help="quality: also keep the weights at these minutes, e.g. 1,2,5")
    parser.add_argument("--weights", default="", help="whole: where to put the initial weights")
    parser.add_argument("--out", default="", help="folder for what is written; none: a temporary one")
    ask = parser.parse_args()
    if ask.threads:
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(ask.threads)
        import torch

        torch.set_num_threads(ask.threads)
    {"step": step, "whole": whole, "sample": sample, "quality": quality}[ask.what](ask)


if __name__ == "__main__":
    main()
