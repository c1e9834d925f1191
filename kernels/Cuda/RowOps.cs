using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Launches of row_ops.cu and rms_norm.cu: a CTA a row.</summary>
internal sealed class RowOps(CudaRuntime runtime)
{
    internal const int Threads = 128, NormThreads = 512;
    internal const int NormSharedBytes = 1024;

    private readonly CudaKernel _embed = runtime.Kernel("row_ops.cu", "embed");
    private readonly CudaKernel _gatherRows = runtime.Kernel("row_ops.cu", "gather_rows");
    private readonly CudaKernel _roundRows = runtime.Kernel("row_ops.cu", "round_rows");
    private readonly CudaKernel _gatedBf16 = runtime.Kernel("row_ops.cu", "gated_activation_bf16");
    private readonly CudaKernel _gatedF32 = runtime.Kernel("row_ops.cu", "gated_activation_f32");
    private readonly CudaKernel _scatterWords = runtime.Kernel("row_ops.cu", "scatter_words");
    private readonly CudaKernel _rmsNorm = runtime.Kernel("rms_norm.cu", "rms_norm_f32_bf16");

    /// <param name="chosen">What ~i stands for among the ids: chosen[i].</param>
    public void Embed(CudaEmbedding table, DevicePtr ids, DevicePtr chosen, Tensor y) =>
        Rows(_embed, y.Rows, table.Table, ids, chosen, Pointer(y), y.RowStride, y.Columns);

    public void GatherRows(Tensor x, DevicePtr rows, Tensor y) =>
        Rows(_gatherRows, y.Rows, Pointer(x), x.RowStride, rows, Pointer(y), y.RowStride, y.Columns);

    /// <summary>F32 to BF16.</summary>
    public void RoundRows(Tensor x, Tensor y) =>
        Rows(_roundRows, y.Rows, Pointer(x), x.RowStride, Pointer(y), y.RowStride, y.Columns);

    public void GatedActivation(Tensor gateUp, Tensor y) => Rows(
        y.Type == DType.BF16 ? _gatedBf16 : _gatedF32, y.Rows, Pointer(gateUp), gateUp.RowStride, Pointer(y), y.RowStride, y.Columns);

    public void RmsNorm(Tensor x, CudaVector gain, float epsilon, Tensor y)
    {
        if (y.Rows > 0)
        {
            _rmsNorm.Launch(
                runtime.Stream, new LaunchShape(y.Rows, NormThreads, NormSharedBytes),
                Pointer(x), x.RowStride, default(DevicePtr), 0, gain.Values, Pointer(y), y.RowStride, y.Columns, epsilon);
        }
    }

    /// <summary>Sets words[place] = value for pairs of a place and a value.</summary>
    public void ScatterWords(DevicePtr words, DevicePtr pairs, int count)
    {
        if (count > 0)
        {
            _scatterWords.Launch(runtime.Stream, new LaunchShape((count + Threads - 1) / Threads, Threads), words, pairs, count);
        }
    }

    private static DevicePtr Pointer(Tensor tensor) => new((ulong)tensor.Address);

    private void Rows(CudaKernel kernel, int rows, params ReadOnlySpan<KernelArgument> arguments)
    {
        if (rows > 0)
        {
            kernel.Launch(runtime.Stream, new LaunchShape(rows, Threads), arguments);
        }
    }
}
