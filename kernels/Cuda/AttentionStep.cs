using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Paged attention of a step's layers: plans and uploads the work once for all layers of a shape.</summary>
internal sealed class AttentionStep(CudaRuntime runtime) : IDisposable
{
    /// <summary>
    /// Rows of partial results, for each KV head: 64 sequences of 8k tokens in groups of eight. What needs more is not split.
    /// </summary>
    private const int MaxPartialRows = 16384;

    private readonly PagedAttention _attention = new(runtime.Module, runtime.Device);
    private readonly List<Plan> _plans = [];
    private int[] _staging = [];

    /// <summary>Forgets the step's plans; their memory stays.</summary>
    public void Reset()
    {
        foreach (Plan plan in _plans)
        {
            plan.IsCurrent = false;
        }
    }

    /// <summary>Checks the batch against the caches of all layers that have run before, and uploads their plans.</summary>
    public void Prepare(ForwardBatch batch)
    {
        foreach (Plan plan in _plans)
        {
            if (plan.Memory.Length >= Words(plan.Shape, batch))
            {
                Make(plan, batch, plan.Cache);
            }
        }
    }

    /// <param name="inputs">Has the batch.</param>
    public void Run(Tensor qkv, ForwardBatch batch, StepInputs inputs, in AttentionShape shape, CudaKvCache cache, int layer, Tensor output)
    {
        Plan plan = PlanFor(shape, batch, cache);
        PagedAttentionInputs arguments = new()
        {
            Queries = new DevicePtr((ulong)qkv.Address),
            QueryStride = qkv.RowStride,
            Keys = cache.Keys(layer),
            Values = cache.Values(layer),
            Cache = cache.Shape,
            Output = new DevicePtr((ulong)output.Address),
            OutputStride = output.RowStride,
            QueryStart = inputs.QueryStart,
            ContextLengths = inputs.ContextLengths,
            BlockTables = inputs.BlockTables,
            BlockTableStride = batch.MaxBlocksPerSequence,
            Trees = batch.HasTrees ? plan.Trees : default,
            Plan = plan.Memory.Pointer,
            Workspace = plan.Workspace,
            PartialRows = MaxPartialRows,
        };
        _attention.Run(runtime.Stream, shape, arguments);
    }

    public void Dispose() => _plans.ForEach(plan => plan.Memory.Dispose());

    /// <summary>Of a plan and, behind it, the batch's <see cref="TreeToken"/>s.</summary>
    private static int Words(in AttentionShape shape, ForwardBatch batch) => checked(
        AttentionPlanner.MaxWords(batch.MaxTokens, batch.MaxSequences, shape.Heads / shape.KvHeads) + TreeToken.Words * batch.MaxTokens);

    private Plan PlanFor(in AttentionShape shape, ForwardBatch batch, CudaKvCache cache)
    {
        int words = Words(shape, batch);
        Plan? plan = null;
        foreach (Plan candidate in _plans)
        {
            plan = IsFor(candidate, shape, cache) && candidate.Memory.Length >= words ? candidate : plan;
        }
        if (plan is null)
        {
            DevicePtr workspace = runtime.Memory.Take(_attention.WorkspaceBytes(shape, cache.Shape.Type, MaxPartialRows));
            plan = new Plan(shape, new CudaDeviceVariable<int>(runtime.Context, words), workspace, cache);
            _plans.Add(plan);
        }
        Make(plan, batch, cache);
        return plan;
    }

    /// <summary>Scratch memory depends on the kernel, which the cache's type decides.</summary>
    private static bool IsFor(Plan plan, in AttentionShape shape, CudaKvCache cache) =>
        plan.Shape == shape && plan.Cache.Shape.Type == cache.Shape.Type;

    /// <summary>Once a step: later layers of the shape and cache find it made.</summary>
    private void Make(Plan plan, ForwardBatch batch, CudaKvCache cache)
    {
        if (plan.IsCurrent && plan.Cache == cache)
        {
            return;
        }
        Check.BlockTables(batch, plan.Shape, cache);
        plan.Cache = cache;
        if (!plan.IsCurrent)
        {
            Upload(plan, batch, Words(plan.Shape, batch));
        }
    }

    private void Upload(Plan plan, ForwardBatch batch, int words)
    {
        if (_staging.Length < words)
        {
            _staging = new int[words];
        }
        AttentionPlanCounts counts = AttentionPlanner.Fill(
            _staging.AsSpan(0, words), batch.QueryStart, batch.ContextLengths, plan.Shape, runtime.Device.MultiprocessorCount, MaxPartialRows, batch.TreeTokens);
        int used = counts.Words;
        if (batch.HasTrees)
        {
            plan.Trees = plan.Memory.Pointer + (long)used * sizeof(int);
            TreeToken.Fill(MemoryMarshal.Cast<int, TreeToken>(_staging.AsSpan(used)), batch);
            used += TreeToken.Words * batch.TokenCount;
        }
        runtime.Uploads.Upload(runtime.Stream, plan.Memory.Pointer, MemoryMarshal.AsBytes(_staging.AsSpan(0, used)));
        plan.IsCurrent = true;
    }

    /// <summary>Layers run one after the other, so those of a shape share one workspace.</summary>
    private sealed class Plan(AttentionShape shape, CudaDeviceVariable<int> memory, DevicePtr workspace, CudaKvCache cache)
    {
        public AttentionShape Shape { get; } = shape;

        public CudaDeviceVariable<int> Memory { get; } = memory;

        public DevicePtr Workspace { get; } = workspace;

        /// <summary>Ancestors of the step's tokens, where it has trees.</summary>
        public DevicePtr Trees { get; set; }

        /// <summary>Of the layer that ran last.</summary>
        public CudaKvCache Cache { get; set; } = cache;

        /// <summary>Whether it is the step's, and the step's tables have been checked.</summary>
        public bool IsCurrent { get; set; }
    }
}
