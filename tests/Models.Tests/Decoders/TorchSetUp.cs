using LlamaServe.Bench.Torch;

namespace LlamaServe.Models.Tests.Decoders;

[SetUpFixture]
public sealed class TorchSetUp
{
    [OneTimeSetUp]
    public void LoadTorch() => TorchRuntime.EnsureLoaded();
}
