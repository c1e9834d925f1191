using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// Device memory between the sampling kernels, for so many rows of a vocabulary: some 64 KiB a row. Results have two places, for a step
/// reads those of the one before it.
/// </summary>
internal sealed class SamplingWorkspace : IDisposable
{
    /// <summary>Largest vocabulary: a token's key has 20 bits for its id.</summary>
    public const int MaxVocabularySize = 1 << 20;

    // As in sampling.cuh.
    private const int SliceWidth = 4096;
    private const int WarpsPerSlice = 8;
    private const int SliceSums = 5;
    private const int HeadCapacity = 8192;
    private const int ResultsPerRow = 2 + 2 * SamplingBatch.MaxTopLogProbs;

    private readonly SamplingStep _addresses;

    public SamplingWorkspace(CudaStream stream, DevicePool memory, int rows, int vocabularySize)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vocabularySize, MaxVocabularySize);
        (Rows, VocabularySize) = (rows, vocabularySize);
        long slices = (long)rows * Slices(vocabularySize);
        _addresses = new SamplingStep
        {
            Results = memory.Take(2L * rows * ResultsPerRow * sizeof(int)),
            Summaries = memory.Take((long)rows * 4 * sizeof(float)),
            Counters = memory.Take((long)rows * 2 * sizeof(uint)),
            UntouchedKeys = memory.Take(slices * sizeof(ulong)),
            Keys = memory.Take(slices * WarpsPerSlice * sizeof(ulong)),
            TopKeys = memory.Take(slices * SamplingBatch.MaxTopLogProbs * sizeof(ulong)),
            Sums = memory.Take(slices * SliceSums * sizeof(ulong)),
            Head = memory.Take((long)rows * HeadCapacity * sizeof(ulong)),
        };
        stream.Fill(_addresses.Counters, (byte)0, (long)rows * 2 * sizeof(uint));
        HostResults = new CudaPageLockedHostMemory(stream.Context, checked(2 * rows * ResultsPerRow * sizeof(int)));
    }

    public int Rows { get; }

    public int VocabularySize { get; }

    /// <summary>Both places of the results on the device, one behind the other.</summary>
    public DevicePtr Results => _addresses.Results;

    /// <summary>Where they are copied to, the same places.</summary>
    public CudaPageLockedHostMemory HostResults { get; }

    /// <summary>Integers of a place, which the second begins behind.</summary>
    public int ResultLength => Rows * ResultsPerRow;

    /// <summary>The kernels' argument for a step.</summary>
    /// <param name="firstResult">Index of its first result.</param>
    public SamplingStep Step(Tensor logits, SamplingUpload upload, int firstResult) => _addresses with
    {
        Logits = new DevicePtr((ulong)logits.Address),
        Results = Results + (long)firstResult * sizeof(int),
        Chosen = Results,
        Rows = upload.DeviceRows,
        Lists = upload.DeviceLists,
        RowStride = logits.RowStride,
        VocabularySize = logits.Columns,
        Slices = Slices(logits.Columns),
        Aligned = logits.RowStride % 4 == 0 && logits.Address % 16 == 0 ? 1 : 0,
    };

    public void Dispose() => HostResults.Dispose();

    private static int Slices(int vocabularySize) => (vocabularySize + SliceWidth - 1) / SliceWidth;
}
