using System.Globalization;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>Blocks of a KV cache on their way to the host and back, beside the driver's copy of as many bytes that lie together.</summary>
internal sealed class SwapRows(KernelBench bench)
{
    private const int BlockSize = 16;

    /// <summary>One list of so many blocks in each direction.</summary>
    public void Add(GpuModel model, DType type, int blocks)
    {
        KvCacheShape shape = new(model.Shape.Layers, blocks, BlockSize, model.Shape.KvHeads, model.Shape.HeadSize, type, HostBlocks: blocks);
        string name = $"{blocks} blocks of {BlockSize} tokens, {shape.Layers} layers, {type} KV";
        GpuRow[] both = [new GpuRow("swap blocks to the host", name), new GpuRow("swap blocks from the host", name)];
        try
        {
            using CudaKvCache cache = (CudaKvCache)bench.Backend.CreateKvCache(shape);
            bench.Journal.Add(Measure(both[0], cache, toHost: true));
            bench.Journal.Add(Measure(both[1], cache, toHost: false));
        }
        catch (ArgumentException exception)
        {
            Array.ForEach(both, row => bench.Journal.Add(row with { Note = $"not built: {exception.Message}" }));
        }
        catch (CudaException exception)
        {
            Array.ForEach(both, row => bench.Journal.Add(row with { Note = $"{GpuRow.Failed}: {exception.Message}" }));
        }
    }

    private unsafe GpuRow Measure(GpuRow row, CudaKvCache cache, bool toHost)
    {
        CudaStream stream = bench.Backend.Runtime.Stream;
        BlockSwap[] swaps = [.. Enumerable.Range(0, cache.Shape.Blocks).Select(block => new BlockSwap(block, block, toHost))];
        long bytes = cache.Shape.HostByteLength;
        double ours = bench.Clock.QueuedSeconds(() => bench.Backend.SwapBlocks(cache, swaps));
        double copy = bench.Clock.QueuedSeconds(() =>
        {
            void* host = (void*)cache.Host.Address;
            if (toHost)
            {
                stream.CopyToHost(host, cache.Memory, bytes);
            }
            else
            {
                stream.CopyToDevice(cache.Memory, host, bytes);
            }
        });
        return row with
        {
            Value = ours,
            Peer = "cuMemcpyAsync, page-locked",
            PeerValue = copy,
            Note = string.Create(CultureInfo.InvariantCulture, $"{bytes / ours / 1e9:F1} of the copy's {bytes / copy / 1e9:F1} GB/s"),
        };
    }
}
