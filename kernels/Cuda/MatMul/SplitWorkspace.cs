using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// What CTAs that share a tile's columns meet in: their partial sums, and a counter a tile that tells the last one. Products in one
/// stream share it, as each leaves the counters at zero.
/// </summary>
internal sealed class SplitWorkspace
{
    private long _partialBytes, _ticketBytes;

    /// <summary>F32 partial sums; content undefined.</summary>
    public DevicePtr Partial { get; private set; }

    /// <summary>uint32 counters, zero between products.</summary>
    public DevicePtr Tickets { get; private set; }

    /// <summary>Takes larger memory where it is too small.</summary>
    /// <exception cref="CudaUnavailableException">The pool has less left.</exception>
    public void Reserve(long partialBytes, long ticketBytes, DevicePool pool, CudaStream stream)
    {
        if (partialBytes > _partialBytes)
        {
            Partial = pool.Take(partialBytes);
            _partialBytes = partialBytes;
        }
        if (ticketBytes > _ticketBytes)
        {
            Tickets = pool.Take(ticketBytes);
            _ticketBytes = ticketBytes;
            stream.Fill(Tickets, (byte)0, ticketBytes);
        }
    }
}
