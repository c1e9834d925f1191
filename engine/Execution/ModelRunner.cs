using System.Runtime.InteropServices;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Text;
using LlamaServe.Kernels;
using LlamaServe.Models;

namespace LlamaServe.Engine.Execution;

// Path 7/9: plan -> batch -> model -> sampler.

/// <summary>Runs the plans on a decoder and its backend.</summary>
internal sealed class ModelRunner : IModelRunner
{
    private readonly LoadedModel _model;
    private readonly CausalLm _decoder;
    private readonly IBackend _backend;
    private readonly Kernels.KvCache _cache;
    private readonly ForwardBatch _batch;
    private readonly SamplingBatch[] _samplings;
    private readonly Func<Tensor> _forward;
    private readonly int _blockSize;
    private long _submitted, _completed;

    /// <summary>Tokens of the prompt that warms up: a whole tile of the CPU's matrix kernels.</summary>
    private const int WarmUpTokens = 8;

    /// <summary>Sizes and makes the KV cache and all buffers of a step.</summary>
    private ModelRunner(LoadedModel model, EngineOptions options)
    {
        _model = model;
        _decoder = model.Model;
        _backend = _decoder.Backend;
        _blockSize = options.BlockSize;
        int context = Math.Min(_decoder.Config.ContextLength, options.MaxContextLength ?? int.MaxValue);
        int logitsRows = options.MaxSequences + options.PromptLogProbRows;
        _decoder.Reserve(options.TokenBudget, logitsRows);
        int blocks = KvCacheSizing.Blocks(_decoder, options, context);
        int hostBlocks = KvCacheSizing.HostBlocks(_decoder, options);
        _cache = _backend.CreateKvCache(_decoder.CacheShape(blocks, _blockSize, options.KvCacheType) with { HostBlocks = hostBlocks });
        _batch = new ForwardBatch(options.TokenBudget, options.MaxSequences, (context + _blockSize - 1) / _blockSize);
        _samplings = [new SamplingBatch(logitsRows), new SamplingBatch(logitsRows)];
        Overlaps = options.OverlapSteps && _backend.Overlaps;
        _forward = () => _decoder.Forward(_batch, _cache);
        Capacity = new RunnerCapacity(_decoder.Config.VocabularySize, context, blocks, model.Defaults.EosTokenIds, hostBlocks);
        WarmUp(Math.Min(WarmUpTokens, Math.Min(context - 1, options.TokenBudget)));
    }

    /// <summary>A runner that is ready for steps.</summary>
    /// <param name="model">Owned from here on, its backend too: also where the cache does not fit or the warm-up throws.</param>
    public static ModelRunner Create(LoadedModel model, EngineOptions options)
    {
        try
        {
            return new ModelRunner(model, options);
        }
        catch
        {
            model.Dispose();
            model.Model.Backend.Dispose();
            throw;
        }
    }

    public RunnerCapacity Capacity { get; }

    public bool Overlaps { get; }

    public void Submit(StepPlan plan)
    {
        _backend.ResetStep();
        if (plan.Swaps is { Count: > 0 } swaps)
        {
            _backend.SwapBlocks(_cache, CollectionsMarshal.AsSpan(swaps));
            swaps.Clear();
        }
        _backend.CopyBlocks(_cache, CollectionsMarshal.AsSpan(plan.Copies));
        plan.Copies.Clear();
        Fill(plan, _batch, _blockSize);
        Tensor logits = _backend.Run(_batch, _forward);
        SamplingBatch sampling = _samplings[_submitted % _samplings.Length];
        SamplingRows.Fill(plan, sampling);
        _backend.StartSample(logits, sampling);
        _submitted++;
    }

    public SamplingBatch Complete()
    {
        SamplingBatch results = _samplings[_completed++ % _samplings.Length];
        _backend.FinishSample(results);
        return results;
    }

    /// <summary>Fills the batch with a plan's tokens, sequence by sequence.</summary>
    public static void Fill(StepPlan plan, ForwardBatch batch, int blockSize)
    {
        batch.Clear();
        foreach (ref readonly StepSlice slice in plan.Slices)
        {
            Sequence sequence = slice.Sequence;
            batch.Add(sequence.Tokens.Slice(slice.Start, slice.Count), slice.Start, sequence.BlockTable, blockSize, slice.LogitsFrom);
        }
    }

    public ITextDecoder CreateTextDecoder() => new TokenTextDecoder(_model.Tokenizer);

    public void Dispose()
    {
        _cache.Dispose();
        _model.Dispose();
        _backend.Dispose();
    }

    /// <summary>
    /// Prefills a prompt, samples, and decodes one token, so that the first request does not wait for code to be compiled
    /// and kernels to be made. What it leaves in the KV cache belongs to no sequence.
    /// </summary>
    private void WarmUp(int promptTokens)
    {
        // All of it in block 0: what the tokens attend to is of no account.
        int[] ids = new int[promptTokens];
        int[] blockTable = new int[promptTokens / _blockSize + 1];
        SamplingRow row = new() { Temperature = 1, TopP = 1, RepetitionPenalty = 1, TargetId = -1, Tokens = ids, PromptLength = ids.Length };
        Step(ids, 0, row);
        Step([0], promptTokens, row with { TopK = 40, TopP = 0.95f, RepetitionPenalty = 1.1f });

        void Step(ReadOnlySpan<int> tokens, int position, in SamplingRow sampled)
        {
            _backend.ResetStep();
            _batch.Clear();
            _batch.Add(tokens, position, blockTable, _blockSize, logitsFrom: tokens.Length - 1);
            Tensor logits = _backend.Run(_batch, _forward);
            SamplingBatch sampling = _samplings[0];
            sampling.Clear();
            sampling.Add(sampled);
            _backend.Sample(logits, sampling);
            sampling.Clear();
        }
    }
}
