namespace LlamaServe.Kernels.Cpu;

/// <summary>What was made by this backend, or <see cref="ArgumentException"/>.</summary>
internal static class CpuCheck
{
    public static CpuVector Vector(Weight weight, int columns, string name)
    {
        CpuVector vector = weight as CpuVector ?? throw new ArgumentException($"{name} was not loaded by LoadVector of this backend");
        Check.That(vector.Columns == columns, $"{name} has {vector.Columns} elements, expected {columns}");
        return vector;
    }

    public static CpuExperts Experts(Weight weight, ExpertRouting routing)
    {
        CpuExperts experts = weight as CpuExperts ?? throw new ArgumentException("the weight was not loaded by LoadExperts of this backend");
        Check.That(experts.Count == routing.Experts, $"{experts.Count} experts with a routing to {routing.Experts}");
        return experts;
    }

    public static CpuKvCache Cache(KvCache cache, int layer)
    {
        CpuKvCache own = cache as CpuKvCache ?? throw new ArgumentException("the KV cache was not made by this backend");
        Check.Layer(own, layer);
        return own;
    }
}
