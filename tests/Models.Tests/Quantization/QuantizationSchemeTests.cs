using LlamaServe.Kernels;
using LlamaServe.Models.Quantization;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Quantization;

/// <summary>What backends get of packed tensors, against the definitions of the formats, bit for bit.</summary>
public sealed class QuantizationSchemeTests
{
    private const int Rows = 48, Columns = 256;

    [Test]
    public void Gptq_is_unpacked([Values(4, 8)] int bits, [Values(-1, 32, 64, 128)] int groupSize, [Values] bool isSymmetric, [Values(0, 1)] int zeroOffset)
    {
        QuantizedMatrix matrix = new(Rows, Columns, bits, groupSize, isSymmetric, new Random(1));
        GptqScheme scheme = new(bits, Math.Max(0, groupSize), zeroOffset);
        WeightData data = Check(scheme, matrix, writer => matrix.WriteGptq(writer, "m", zeroOffset));
        Assert.That(data.ZeroPoints == 0, Is.EqualTo(isSymmetric), "zero points in the middle need none");
    }

    [Test]
    public void Awq_is_unpacked([Values(-1, 32, 64, 128)] int groupSize)
    {
        QuantizedMatrix matrix = new(Rows, Columns, 4, groupSize, false, new Random(2));
        Check(new AwqScheme(Math.Max(0, groupSize)), matrix, writer => matrix.WriteAwq(writer, "m"));
    }

    [Test]
    public void A_zero_point_of_0_is_stored_as_15()
    {
        // All zeros of the first word: 0 less 1 modulo 16.
        SafetensorsWriter writer = new();
        writer.Add("m.qweight", "I32", [4, 8], new byte[128]).Add("m.qzeros", "I32", [1, 1], [0xFF, 0xFF, 0xFF, 0xFF]);
        writer.Add("m.scales", "F16", [1, 8], [.. Enumerable.Repeat((byte)0x3C, 16)]);
        using TemporaryFolder folder = new();
        File.WriteAllBytes(folder.File("model.safetensors"), writer.ToBytes());
        using TensorArchive archive = Safetensors.Open(folder.File("model.safetensors"));
        using StoredMatrix stored = new GptqScheme(4, 0, 1).Read(archive, "m", 8, 32);
        Assert.That(Values(stored.Data), Is.All.Zero);
    }

    [TestCase(40, 250, "does not fill words")]
    [TestCase(44, 256, "does not fill words")]
    [TestCase(48, 224, "not whole groups of 64")]
    public void Shapes_that_no_word_or_group_fits_are_a_problem(int rows, int columns, string problem)
    {
        using TemporaryFolder folder = new();
        File.WriteAllBytes(folder.File("model.safetensors"), new SafetensorsWriter().ToBytes());
        using TensorArchive archive = Safetensors.Open(folder.File("model.safetensors"));
        Assert.That(new AwqScheme(64).Problem(archive, "m", rows, columns), Does.Contain(problem));
    }

    private static WeightData Check(QuantizationScheme scheme, QuantizedMatrix matrix, Action<SafetensorsWriter> write)
    {
        using TemporaryFolder folder = new();
        SafetensorsWriter writer = new();
        write(writer);
        File.WriteAllBytes(folder.File("model.safetensors"), writer.ToBytes());
        using TensorArchive archive = Safetensors.Open(folder.File("model.safetensors"));
        Assert.That(scheme.Problem(archive, "m", Rows, Columns), Is.Null);
        using StoredMatrix stored = scheme.Read(archive, "m", Rows, Columns);
        Assert.That(Values(stored.Data), Is.EqualTo(matrix.Values()));
        return stored.Data;
    }

    /// <summary>As <see cref="WeightFormat"/> and <see cref="WeightData"/> define them.</summary>
    private static unsafe double[] Values(WeightData data)
    {
        double[] values = new double[data.Rows * data.Columns];
        byte* elements = (byte*)data.Address, zeros = (byte*)data.ZeroPoints;
        for (int i = 0; i < values.Length; i++)
        {
            int group = data.GroupSize == 0 ? i / data.Columns : i / data.GroupSize;
            int quant = data.Format == WeightFormat.Int4 ? elements[i / 2] >> i % 2 * 4 & 15 : zeros == null ? (sbyte)elements[i] : elements[i];
            int zero = zeros != null ? zeros[group] : data.Format == WeightFormat.Int4 ? 8 : 0;
            values[i] = (double)((float*)data.Scales)[group] * (quant - zero);
        }
        return values;
    }
}
