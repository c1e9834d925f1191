using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda.Memory;

/// <summary>
/// Uploads of any size through a few page-locked chunks: while the device fetches one, the host fills the next. Small ones share a
/// chunk, so that those of a whole step can be queued behind a step that still runs. Used by one thread at a time.
/// </summary>
internal sealed class UploadRing : IDisposable
{
    /// <summary>A copy's first byte in a chunk: a cache line of its own.</summary>
    private const int Alignment = 64;

    private readonly Chunk[] _chunks;
    private int _current;
    private int _used;

    /// <param name="chunkBytes">Large enough that a copy's fixed cost, some 10 µs, does not matter.</param>
    public UploadRing(CudaContext context, int chunks = 4, int chunkBytes = 4 << 20)
    {
        _chunks = new Chunk[chunks];
        for (int i = 0; i < chunks; i++)
        {
            _chunks[i] = new Chunk(new CudaPageLockedHostMemory(context, chunkBytes), new CudaEvent(context));
        }
    }

    /// <summary>
    /// Queues a copy to the device. <paramref name="source"/> is free again on return; the data is there for later work in
    /// <paramref name="stream"/>.
    /// </summary>
    public unsafe void Upload(CudaStream stream, DevicePtr destination, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            (CudaPageLockedHostMemory memory, CudaEvent fetched) = _chunks[_current];
            Span<byte> chunk = memory.Span;
            int bytes = Math.Min(source.Length, chunk.Length - _used);
            if (_used == 0)
            {
                fetched.Synchronize();
            }
            source[..bytes].CopyTo(chunk[_used..]);
            stream.CopyToDevice(destination, (byte*)memory.Handle + _used, bytes);
            fetched.Record(stream);
            destination += bytes;
            source = source[bytes..];
            _used = Math.Min(chunk.Length, (_used + bytes + Alignment - 1) / Alignment * Alignment);
            if (_used == chunk.Length)
            {
                (_current, _used) = ((_current + 1) % _chunks.Length, 0);
            }
        }
    }

    /// <summary>Waits until the device has fetched everything, then frees the chunks.</summary>
    public unsafe void Dispose()
    {
        foreach ((CudaPageLockedHostMemory memory, CudaEvent fetched) in _chunks)
        {
            // A failure shows in the stream that copied.
            _ = fetched.Context.Api.EventSynchronize(fetched.Handle);
            memory.Dispose();
            fetched.Dispose();
        }
    }

    private readonly record struct Chunk(CudaPageLockedHostMemory Memory, CudaEvent Fetched);
}
