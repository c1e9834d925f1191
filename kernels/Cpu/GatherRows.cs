namespace LlamaServe.Kernels.Cpu;

/// <summary>Copies the chosen rows of x, one after the other.</summary>
internal static unsafe class GatherRows
{
    public static void Run(Tensor x, ReadOnlySpan<int> rows, Tensor y)
    {
        for (int i = 0; i < rows.Length; i++)
        {
            ReadOnlySpan<float> source = new((float*)x.Address + (long)rows[i] * x.RowStride, x.Columns);
            source.CopyTo(new Span<float>((float*)y.Address + (long)i * y.RowStride, y.Columns));
        }
    }
}
