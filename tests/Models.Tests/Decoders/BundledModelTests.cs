using System.Runtime.InteropServices;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Decoders;

/// <summary>The model that comes with the repository: trained weights in BF16, through the whole loader.</summary>
public sealed class BundledModelTests
{
    private const string Opening = "Once upon a time there was a king who had three sons, and the youngest of them";

    [Test]
    public void Its_logits_equal_torch()
    {
        using CpuBackend backend = new();
        using LoadedModel bundled = ModelLoader.Load(RepositoryPaths.BundledModel, backend);
        int[] tokens = [.. bundled.Tokenizer.Encode(Opening)];
        using PagedSequence sequence = new(bundled.Model, tokens.Length);

        float[] logits = sequence.Append(tokens);

        double[] expected = new TorchDecoder(Snapshot(bundled)).Logits(tokens);
        Assert.That(NormalisedError.Of(logits, expected), Is.LessThan(NormalisedError.BF16));
    }

    [Test]
    public void It_knows_its_special_tokens()
    {
        using CpuBackend backend = new();
        using LoadedModel bundled = ModelLoader.Load(RepositoryPaths.BundledModel, backend);

        Assert.Multiple(() =>
        {
            Assert.That(bundled.Name, Is.EqualTo("fairytale-5m"));
            Assert.That(bundled.Tokenizer.Encode(Opening)[0], Is.EqualTo(bundled.Defaults.BosTokenId));
            Assert.That(bundled.Defaults.EosTokenIds, Is.EqualTo(new[] { bundled.Tokenizer.Special.Eos }));
            Assert.That(bundled.Tokenizer.Decode([.. bundled.Tokenizer.Encode(Opening)]), Is.EqualTo(Opening));
        });
    }

    private static TinySnapshot Snapshot(LoadedModel bundled)
    {
        TinyModel model = TinyModel.Llama2 with
        {
            HiddenSize = bundled.Model.Config.HiddenSize,
            IntermediateSize = bundled.Model.Config.IntermediateSize,
            Layers = bundled.Model.Config.Layers,
            Heads = bundled.Model.Config.Heads,
            KvHeads = bundled.Model.Config.KvHeads,
            HeadDim = bundled.Model.Config.HeadDim,
            Tied = true,
        };
        using TensorArchive archive = Safetensors.OpenSnapshot(RepositoryPaths.BundledModel);
        return new TinySnapshot(model, RepositoryPaths.BundledModel, archive.Names.ToDictionary(name => name, name => Read(archive.Get(name))));
    }

    private static unsafe TinyTensor Read(TensorSource tensor)
    {
        Assert.That(tensor.Format, Is.EqualTo(WeightFormat.BF16));
        ReadOnlySpan<ushort> stored = MemoryMarshal.Cast<byte, ushort>(new ReadOnlySpan<byte>((void*)tensor.Address, (int)tensor.ByteLength));
        float[] values = new float[stored.Length];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = BitConverter.UInt32BitsToSingle((uint)stored[i] << 16);
        }
        return new TinyTensor(Array.ConvertAll(tensor.Shape, size => (int)size), values);
    }
}
