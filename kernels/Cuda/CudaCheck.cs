namespace LlamaServe.Kernels.Cuda;

/// <summary>What was made by this backend, or <see cref="ArgumentException"/>.</summary>
internal static class CudaCheck
{
    public static CudaVector Vector(Weight weight, int columns, string name)
    {
        CudaVector vector = weight as CudaVector ?? throw new ArgumentException($"{name} was not loaded by LoadVector of this backend");
        Check.That(vector.Columns == columns, $"{name} has {vector.Columns} elements, expected {columns}");
        return vector;
    }

    public static CudaExperts Experts(Weight weight, ExpertRouting routing)
    {
        CudaExperts experts = weight as CudaExperts ?? throw new ArgumentException("the weight was not loaded by LoadExperts of this backend");
        Check.That(experts.Count == routing.Experts, $"{experts.Count} experts with a routing to {routing.Experts}");
        return experts;
    }

    public static CudaKvCache Cache(KvCache cache, int layer)
    {
        CudaKvCache own = cache as CudaKvCache ?? throw new ArgumentException("the KV cache was not made by this backend");
        Check.Layer(own, layer);
        return own;
    }

    public static CudaGatedLinear Gated(Weight weight) => weight as CudaGatedLinear
        ?? throw new ArgumentException("the weight was not loaded by LoadGatedLinear of this backend");

    public static StackedLinear Matrix(Weight weight) => weight as StackedLinear ?? (weight as CudaEmbedding)?.Projection
        ?? throw new ArgumentException("the weight was not loaded by LoadLinear of this backend, nor as a tied embedding");
}
