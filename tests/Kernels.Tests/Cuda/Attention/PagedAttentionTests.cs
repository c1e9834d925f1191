using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Tests.Cuda.Attention;

/// <summary>The kernels of paged attention against double precision, and one way of computing a row against all others.</summary>
[TestFixture(TestDevice.Emulated, DType.BF16, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Emulated, DType.Fp8, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Emulated, DType.Int8, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, DType.BF16, Category = Toolchain.Gpu)]
[TestFixture(TestDevice.Gpu, DType.Fp8, Category = Toolchain.Gpu)]
[TestFixture(TestDevice.Gpu, DType.Int8, Category = Toolchain.Gpu)]
public sealed class PagedAttentionTests(string kind, DType cacheType)
{
    /// <summary>Splits every run of queries.</summary>
    private const int Split = int.MaxValue;

    /// <summary>Makes every run of more than 16 rows whole.</summary>
    private const int Whole = 1;

    private TestDevice _device = null!;
    private readonly Dictionary<string, CudaModule> _modules = [];
    private PagedAttention _attention = null!;

    [OneTimeSetUp]
    public void LoadKernels()
    {
        _device = TestDevice.Require(kind);
        _attention = new PagedAttention(Module, _device.Context.Device);
    }

    [SetUp]
    public void RequireDevice() => TestDevice.Require(kind);

    [OneTimeTearDown]
    public void UnloadKernels()
    {
        foreach (CudaModule module in _modules.Values)
        {
            module.Dispose();
        }
    }

    [Test]
    public void Decode_agrees_with_the_reference(
        [Values(1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 300)] int context, [Values(16, 32)] int blockSize)
    {
        DeviceSequences sequences = Create(Shape(8, 2, 64), blockSize, Split, context);
        AssertEqualsReference(sequences, (0, context - 1, 1));
    }

    [Test]
    public void Every_head_size_and_group_agrees_with_the_reference([Values(64, 80, 96, 128, 256)] int headDim, [Values(1, 4, 5, 7, 8)] int group)
    {
        DeviceSequences sequences = Create(Shape(group, 1, headDim), 16, Split, 70);
        AssertEqualsReference(sequences, (0, 69, 1));
    }

    [Test]
    public void Every_head_size_computes_prompts_in_whole_tiles([Values(64, 80, 96, 128, 256)] int headDim)
    {
        DeviceSequences sequences = Create(Shape(5, 1, headDim), 16, Whole, 280);
        AssertEqualsReference(sequences, (0, 262, 18));
        Assert.That(sequences.LastCounts.WholeTiles, Is.EqualTo(2));
    }

    [TestCase(1, 1)]
    [TestCase(1, 300)]
    [TestCase(16, 260)]
    [TestCase(17, 64)]
    [TestCase(64, 70)]
    [TestCase(100, 299)]
    [TestCase(257, 290)]
    public void A_window_sees_itself_and_the_tokens_before(int window, int context)
    {
        AttentionShape shape = Shape(4, 2, 64) with { SlidingWindow = window };
        int count = Math.Min(context, 12);
        foreach (int multiprocessors in (int[])[Whole, Split])
        {
            DeviceSequences sequences = Create(shape, 16, multiprocessors, context);
            AssertEqualsReference(sequences, (0, context - count, count));
        }
    }

    [Test]
    public void Contexts_of_several_chunks_agree_with_the_reference([Values(Whole, Split)] int multiprocessors, [Values(64, 256)] int headDim)
    {
        DeviceSequences sequences = Create(Shape(2, 1, headDim), 16, multiprocessors, 1040);
        AssertEqualsReference(sequences, (0, 1030, 10));
        Assert.That(sequences.LastCounts.SplitUnits, Is.EqualTo(multiprocessors == Split ? 10 : 0));
    }

    [Test]
    public void A_mixed_batch_agrees_with_the_reference()
    {
        DeviceSequences sequences = Create(Shape(8, 2, 64), 16, 2, 300, 40, 1, 17, 129);
        AssertEqualsReference(sequences, (0, 299, 1), (1, 0, 40), (2, 0, 1), (3, 12, 5), (4, 127, 2));
        Assert.That(sequences.LastCounts.WholeTiles, Is.Positive);
        Assert.That(sequences.LastCounts.SplitTiles, Is.Positive);
    }

    [Test]
    public void A_rows_bits_depend_on_neither_step_nor_plan([Values(64, 128, 256)] int headDim, [Values(0, 90, 250)] int window)
    {
        const int Position = 275, Length = 300;
        AttentionShape shape = Shape(4, 1, headDim) with { SlidingWindow = window };
        ushort[] alone = Create(shape, 16, Split, Length).Attend((0, Position, 1))[0];
        foreach (int multiprocessors in (int[])[Whole, Split])
        {
            foreach ((int first, int count) in ((int, int)[])[(Position - 4, 5), (Position - 40, 64), (Position - 129, 130)])
            {
                if (multiprocessors == Whole || count < 64)
                {
                    DeviceSequences sequences = Create(shape, 16, multiprocessors, Length);
                    AssertSameBits(Row(sequences, sequences.Attend((0, first, count))[0], Position - first), alone, $"{count} tokens from {first}");
                }
            }
        }
    }

    [Test]
    public void A_rows_bits_do_not_depend_on_batch_mates([Values(64, 80)] int headDim)
    {
        AttentionShape shape = Shape(4, 2, headDim);
        ushort[] alone = Create(shape, 16, Split, 290).Attend((0, 289, 1))[0];
        DeviceSequences crowd = Create(shape, 16, 2, 290, 50, 20, 33);
        AssertSameBits(crowd.Attend((1, 0, 50), (2, 19, 1), (0, 289, 1), (3, 30, 3))[2], alone, "among others");
        AssertSameBits(Row(crowd, crowd.Attend((1, 49, 1), (0, 260, 30))[1], 29), alone, "at the end of a prompt");
    }

    [Test]
    public void Sequences_without_queries_or_context_change_nothing([Values(Whole, 2, Split)] int multiprocessors)
    {
        DeviceSequences sequences = Create(Shape(4, 2, 64), 16, multiprocessors, 290, 50, 20);
        ushort[][] expected = sequences.Attend((0, 289, 1), (1, 20, 30), (2, 19, 1));
        AttentionPlanCounts counts = sequences.LastCounts;
        ushort[][] actual = sequences.Attend((1, 0, 0), (0, 289, 1), (2, 0, 0), (1, 33, 0), (1, 20, 30), (2, 19, 1), (0, 290, 0));
        Assert.That(sequences.LastCounts, Is.EqualTo(counts), "nothing to do for them");
        AssertSameBits(actual[1], expected[0], "behind an empty one");
        AssertSameBits(actual[4], expected[1], "behind two");
        AssertSameBits(actual[5], expected[2], "before one");
    }

    [Test]
    public void Runs_without_room_for_partial_results_have_the_same_bits([Values(64, 256)] int headDim)
    {
        AttentionShape shape = Shape(4, 1, headDim);
        DeviceSequences roomy = Create(shape, 16, Split, 530, 260);
        DeviceSequences tight = new(_device, _attention, cacheType, shape, 16, 5, 530, 260) { Multiprocessors = Split, MaxPartialRows = 8 };
        ushort[][] expected = roomy.Attend((0, 529, 1), (1, 259, 1)), actual = tight.Attend((0, 529, 1), (1, 259, 1));
        Assert.That(roomy.LastCounts, Is.EqualTo(new AttentionPlanCounts(0, 2, 5, 20)));
        Assert.That(tight.LastCounts, Is.EqualTo(new AttentionPlanCounts(1, 1, 2, 8)));
        AssertSameBits(actual[0], expected[0], "the long one");
        AssertSameBits(actual[1], expected[1], "the short one");
    }

    [Test]
    public void Large_scores_do_not_overflow()
    {
        DeviceSequences sequences = Create(Shape(2, 1, 64) with { Scale = 30 }, 16, Split, 270);
        AssertEqualsReference(sequences, (0, 268, 2));
    }

    private CudaModule Module(string unit)
    {
        if (!_modules.TryGetValue(unit, out CudaModule? module))
        {
            module = _device.Platform.LoadModule(_device.Context, unit);
            _modules.Add(unit, module);
        }
        return module;
    }

    private static AttentionShape Shape(int heads, int kvHeads, int headDim) => new(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), 0);

    private DeviceSequences Create(AttentionShape shape, int blockSize, int multiprocessors, params int[] lengths) =>
        new(_device, _attention, cacheType, shape, blockSize, 5, lengths) { Multiprocessors = multiprocessors };

    private static ushort[] Row(DeviceSequences sequences, ushort[] rows, int row) =>
        rows[(row * sequences.Shape.OutputColumns)..((row + 1) * sequences.Shape.OutputColumns)];

    /// <summary>Of long runs a few tokens are compared: the first, the last and some between.</summary>
    private static void AssertEqualsReference(DeviceSequences sequences, params (int Sequence, int First, int Count)[] work)
    {
        foreach ((ushort[] rows, (int sequence, int first, int count)) in sequences.Attend(work).Zip(work))
        {
            for (int t = 0; t < count; t += t < count - 1 ? Math.Min(Math.Max(1, count / 6), count - 1 - t) : 1)
            {
                float[] actual = DeviceSequences.ToFloats(Row(sequences, rows, t));
                double error = Tolerances.NormalizedMeanSquareError(actual, sequences.Reference(sequence, first + t));
                Assert.That(error, Is.LessThanOrEqualTo(Tolerances.BF16), $"sequence {sequence}, position {first + t}");
            }
        }
    }

    private static void AssertSameBits(ushort[] actual, ushort[] expected, string what) => Assert.That(actual, Is.EqualTo(expected), what);
}
