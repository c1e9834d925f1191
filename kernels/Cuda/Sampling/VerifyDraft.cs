using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Launches of verify_draft.cu, in the stream that chose the ids. What was accepted stays on the device for the cache's sake.</summary>
internal sealed unsafe class VerifyDraft(CudaRuntime runtime) : IDisposable
{
    internal const int Threads = 128;

    private const int Warps = 4;

    private readonly CudaKernel _verify = runtime.Kernel("verify_draft.cu", "verify_draft");
    private readonly CudaKernel _compact = runtime.Kernel("verify_draft.cu", "compact_drafts");
    private CudaDeviceVariable<byte>? _device;
    private CudaPageLockedHostMemory? _host;
    private DraftBatch? _current;
    private Places _places;

    /// <summary>Queues the walk and the copy of its results.</summary>
    /// <param name="chosenIds">int32 by row of logits.</param>
    public void Enqueue(DevicePtr chosenIds, DraftBatch batch)
    {
        _current = batch;
        if (batch.SequenceCount == 0)
        {
            return;
        }
        _places = new Places(batch.SequenceCount, batch.DraftCount);
        Reserve(_places.Bytes);
        runtime.Uploads.Upload(runtime.Stream, At(0), MemoryMarshal.AsBytes(batch.Sequences));
        runtime.Uploads.Upload(runtime.Stream, At(_places.Drafts), MemoryMarshal.AsBytes(batch.Drafts));
        _verify.Launch(
            runtime.Stream, new LaunchShape((batch.SequenceCount + Warps - 1) / Warps, Threads),
            chosenIds, At(0), At(_places.Drafts), At(_places.Results), At(_places.Accepted), batch.SequenceCount);
        runtime.Stream.CopyToHost((void*)_host.Handle, At(_places.Results), _places.Bytes - _places.Results);
    }

    /// <summary>Fills in the results; the stream has got there.</summary>
    public void Read(DraftBatch batch)
    {
        if (batch.SequenceCount > 0)
        {
            Span<byte> host = _host!.Span;
            MemoryMarshal.Cast<byte, DraftResult>(host)[..batch.SequenceCount].CopyTo(batch.Results);
            Span<int> accepted = MemoryMarshal.Cast<byte, int>(host[(_places.Accepted - _places.Results)..]);
            for (int i = 0; i < batch.SequenceCount; i++)
            {
                int first = batch.Sequences[i].FirstDraft;
                accepted.Slice(first, batch.AcceptedCount(i)).CopyTo(batch.AcceptedDrafts[first..]);
            }
        }
    }

    /// <param name="inputs">Has the batch that computed the drafts.</param>
    public void Compact(CudaKvCache cache, StepInputs inputs, DraftBatch drafts)
    {
        Check.That(ReferenceEquals(drafts, _current), $"the drafts were not verified by the last Sample");
        if (drafts.DraftCount == 0)
        {
            return;
        }
        CompactArguments arguments = new()
        {
            Cache = cache.Memory,
            RegionBytes = cache.RegionBytes,
            Sequences = At(0),
            Results = At(_places.Results),
            Accepted = At(_places.Accepted),
            LogitsRows = inputs.LogitsRows,
            Slots = inputs.SlotMapping,
            BlockBytes = cache.BlockBytes,
            BlockSize = cache.Shape.BlockSize,
            RowBytes = cache.Shape.HeadDim * cache.Shape.Type.Size(),
            KvHeads = cache.Shape.KvHeads,
            ScaleBytes = cache.Shape.Type.ScaleSize(),
        };
        _compact.Launch(runtime.Stream, new LaunchShape(new Dim3(drafts.SequenceCount, cache.Regions), Threads), KernelArgument.Struct(&arguments));
    }

    public void Dispose()
    {
        _device?.Dispose();
        _host?.Dispose();
    }

    private DevicePtr At(int bytes) => _device!.Pointer + bytes;

    /// <summary>Results have been read whenever there is something new to verify, so nothing is under way.</summary>
    [System.Diagnostics.CodeAnalysis.MemberNotNull(nameof(_host))]
    private void Reserve(int bytes)
    {
        if (_host is null || _host.ByteLength < bytes)
        {
            runtime.Stream.Synchronize();
            Dispose();
            (_host, _device) = (null, null);
            int byteLength = Math.Max(64 * 1024, bytes);
            _device = new CudaDeviceVariable<byte>(runtime.Context, byteLength);
            _host = new CudaPageLockedHostMemory(runtime.Context, byteLength);
        }
    }

    /// <summary>Byte offsets: sequences, drafts, results, accepted drafts.</summary>
    private readonly record struct Places(int Sequences, int DraftCount)
    {
        public int Drafts => Sequences * Unsafe.SizeOf<DraftSequence>();

        public int Results => Drafts + DraftCount * Unsafe.SizeOf<DraftToken>();

        public int Accepted => Results + Sequences * Unsafe.SizeOf<DraftResult>();

        public int Bytes => Accepted + DraftCount * sizeof(int);
    }

    /// <summary>CompactArguments of the kernel.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct CompactArguments
    {
        public DevicePtr Cache;
        public long RegionBytes;
        public DevicePtr Sequences, Results, Accepted, LogitsRows, Slots;
        public int BlockBytes, BlockSize, RowBytes, KvHeads, ScaleBytes;
    }
}
