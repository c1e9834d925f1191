using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda.Memory;

/// <summary>
/// Uploads of any size through a few page-locked chunks: while the device fetches one, the host fills the next. Used by one thread
/// at a time.
/// </summary>
internal sealed class UploadRing : IDisposable
{
    private readonly Chunk[] _chunks;
    private int _next;

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
            (CudaPageLockedHostMemory memory, CudaEvent fetched) = _chunks[_next];
            int bytes = Math.Min(source.Length, memory.ByteLength);
            fetched.Synchronize();
            source[..bytes].CopyTo(memory.Span);
            stream.CopyToDevice(destination, (void*)memory.Handle, bytes);
            fetched.Record(stream);
            destination += bytes;
            source = source[bytes..];
            _next = (_next + 1) % _chunks.Length;
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
