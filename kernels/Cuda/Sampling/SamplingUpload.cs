using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// What sampling needs to know about its rows, in one copy: the rows' parameters, then the lists of those that have any. Histories
/// of tokens travel only for rows with penalties.
/// </summary>
internal sealed unsafe class SamplingUpload(CudaStream stream) : IDisposable
{
    private const int SmallestByteLength = 64 * 1024;

    private CudaPageLockedHostMemory? _host;
    private CudaDeviceVariable<byte>? _device;
    private int _rowCount;

    /// <summary>The rows that were written last; valid until the next <see cref="Write"/>.</summary>
    public ReadOnlySpan<SamplingRowData> Rows => MemoryMarshal.Cast<byte, SamplingRowData>(_host!.Span)[.._rowCount];

    public DevicePtr DeviceRows => _device!.Pointer;

    public DevicePtr DeviceLists => _device!.Pointer + RowBytes;

    /// <summary>Integers of the results that the rows ask for: ids, then log-probabilities.</summary>
    public int ResultLength { get; private set; }

    private int RowBytes => _rowCount * Unsafe.SizeOf<SamplingRowData>();

    /// <summary>Queues the copy. An earlier one must be done.</summary>
    /// <param name="pending">What rows name as ~row.</param>
    /// <exception cref="ArgumentException">A row names a token that nobody chooses.</exception>
    public void Write(ReadOnlySpan<SamplingRow> rows, PendingIds pending)
    {
        _rowCount = rows.Length;
        int length = 0;
        foreach (ref readonly SamplingRow row in rows)
        {
            length = checked(length + ListLength(row));
        }
        int bytes = checked(RowBytes + length * sizeof(int));
        Reserve(bytes);
        Span<SamplingRowData> data = MemoryMarshal.Cast<byte, SamplingRowData>(_host.Span)[.._rowCount];
        Span<int> lists = MemoryMarshal.Cast<byte, int>(_host.Span[RowBytes..bytes]);
        int used = 0, results = _rowCount;
        for (int i = 0; i < rows.Length; i++)
        {
            data[i] = Parameters(rows[i]);
            used = WriteLists(rows[i], ref data[i], lists, used, pending);
            results = PlaceResults(rows[i], ref data[i], results);
        }
        ResultLength = results;
        stream.CopyToDevice(_device.Pointer, (void*)_host.Handle, bytes);
    }

    public void Dispose()
    {
        _host?.Dispose();
        _device?.Dispose();
    }

    private static bool IsSampled(in SamplingRow row) => row.TargetId < 0;

    private static bool HasPenalties(in SamplingRow row) =>
        row.RepetitionPenalty != 1 || row.PresencePenalty != 0 || row.FrequencyPenalty != 0;

    private static int ListLength(in SamplingRow row) => !IsSampled(row) ? 0 : checked(
        2 * row.BiasIds.Length + row.BannedIds.Length + (HasPenalties(row) ? row.Tokens.Length + row.DraftTokens.Length : 0));

    private static SamplingRowData Parameters(in SamplingRow row) => new()
    {
        Seed = row.Seed,
        Counter = row.Counter,
        Temperature = row.Temperature,
        TopP = row.TopP,
        MinP = row.MinP,
        RepetitionPenalty = row.RepetitionPenalty,
        PresencePenalty = row.PresencePenalty,
        FrequencyPenalty = row.FrequencyPenalty,
        TopK = row.TopK,
        TargetId = row.TargetId,
    };

    private static int WriteLists(in SamplingRow row, ref SamplingRowData data, Span<int> lists, int used, PendingIds pending)
    {
        if (!IsSampled(row))
        {
            return used;
        }
        int biases = row.BiasIds.Length;
        (data.Biases, data.BiasCount) = (used, biases);
        row.BiasIds.Span.CopyTo(lists[used..]);
        MemoryMarshal.Cast<float, int>(row.BiasValues.Span[..biases]).CopyTo(lists[(used + biases)..]);
        used += 2 * biases;
        (data.Bans, data.BanCount) = (used, row.BannedIds.Length);
        row.BannedIds.Span.CopyTo(lists[used..]);
        used += data.BanCount;
        if (HasPenalties(row))
        {
            (data.Tokens, data.TokenCount) = (used, row.Tokens.Length + row.DraftTokens.Length);
            data.PromptLength = Math.Clamp(row.PromptLength, 0, row.Tokens.Length);
            row.Tokens.Span.CopyTo(lists[used..]);
            row.DraftTokens.Span.CopyTo(lists[(used + row.Tokens.Length)..]);
            used += data.TokenCount;
            for (int last = used - 1; last >= data.Tokens && lists[last] < 0; last--)
            {
                lists[last] = pending.Place(lists[last]);
            }
        }
        return used;
    }

    private static int PlaceResults(in SamplingRow row, ref SamplingRowData data, int results)
    {
        data.LogProb = row.LogProb ? results++ : -1;
        data.TopLogProbs = row.TopLogProbs;
        data.Tops = results;
        return results + 2 * row.TopLogProbs;
    }

    [System.Diagnostics.CodeAnalysis.MemberNotNull(nameof(_host), nameof(_device))]
    private void Reserve(int bytes)
    {
        if (_host is null || _device is null || _host.ByteLength < bytes)
        {
            // Where there is no room for the new, the next step finds neither.
            Dispose();
            (_host, _device) = (null, null);
            int byteLength = Math.Max(SmallestByteLength, checked((int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)bytes)));
            _host = new CudaPageLockedHostMemory(stream.Context, byteLength);
            _device = new CudaDeviceVariable<byte>(stream.Context, byteLength);
        }
    }
}
