using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Text;
using LlamaServe.Kernels;

namespace LlamaServe.Engine;

/// <summary>Turns a computed step into the sequences' next state: scores, tokens, text, ends, further samples.</summary>
internal sealed class StepCommitter(LoopContext context, Scheduler scheduler, StepProgress progress, OutputStage output)
{
    /// <param name="results">A row for each wanted row of logits, in the plan's order.</param>
    public void Commit(StepPlan plan, SamplingBatch results, long now)
    {
        progress.Commit(plan);
        context.Counters.PrefillTokens += plan.PrefillTokens;
        int row = 0;
        foreach (ref readonly StepSlice slice in plan.Slices)
        {
            var sample = (Sample)slice.Sequence.Owner!;
            if (sample.IsFinished)
            {
                // It ended while the step was under way: what the step brings is surplus.
                row += slice.LogitsCount;
                continue;
            }
            MarkScheduled(sample.Request, plan.Started);
            int last = row + slice.LogitsCount - (slice.Samples ? 1 : 0);
            for (int position = slice.Start + slice.LogitsFrom; row < last; row++, position++)
            {
                AddScore(sample.Request, results, row, position + 1);
            }
            if (slice.Samples)
            {
                Accept(sample, results, row++, now);
            }
        }
    }

    private void MarkScheduled(ActiveRequest request, long started)
    {
        if (request.Clock.FirstScheduled == 0)
        {
            request.Clock.FirstScheduled = started;
            context.Metrics.FirstScheduled(context.Time.GetElapsedTime(request.Clock.Submitted, started));
        }
    }

    private static void AddScore(ActiveRequest request, SamplingBatch results, int row, int index)
    {
        ReadOnlySpan<int> prompt = request.Request.PromptTokenIds.Span;
        request.PromptLogProbs ??= [new PromptTokenLogProb(prompt[0], float.NaN, [])];
        TokenLogProb[] top = Top(results, row, request.Request.PromptLogProbs ?? 0) ?? [];
        request.PromptLogProbs.Add(new PromptTokenLogProb(prompt[index], results.LogProbs[row], top));
    }

    private void Accept(Sample sample, SamplingBatch results, int row, long now)
    {
        ActiveRequest request = sample.Request;
        if (!request.IsForked)
        {
            PromptDone(request, now);
        }
        int token = results.TokenIds[row];
        if (token < 0)
        {
            context.Log.InvalidLogits(request.Id);
            request.Error ??= "The model's output is not a number.";
            output.Finish(sample, new GeneratedToken(sample.Index, -1, "", Finish: new SampleFinish(FinishReason.Error)), now);
            return;
        }
        sample.Sequence.Resolve(token);
        MarkToken(request, now);
        float logProb = request.Request.LogProbs is null ? float.NaN : results.LogProbs[row];
        TokenLogProb[]? top = request.Request.LogProbs is int count ? Top(results, row, count) : null;
        string text = NextText(sample, token, out SampleFinish? finish);
        var generated = new GeneratedToken(sample.Index, token, text, logProb, top, finish);
        if (finish is null)
        {
            output.Emit(sample, generated);
        }
        else
        {
            output.Finish(sample, generated, now);
        }
    }

    /// <summary>The prompt is computed: its facts are known, and the other samples start from it.</summary>
    private void PromptDone(ActiveRequest request, long now)
    {
        Sequence first = request.Samples[0].Sequence;
        request.Handle.Prompt = new PromptInfo(first.PromptLength, first.PrefixHit, request.PromptLogProbs);
        request.IsForked = true;
        for (int i = 1; i < request.Samples.Length; i++)
        {
            scheduler.Fork(first, request.Samples[i].Sequence, now);
        }
    }

    private void MarkToken(ActiveRequest request, long now)
    {
        context.Counters.GeneratedTokens++;
        request.CompletionTokens++;
        request.Clock.LastToken = now;
        if (request.Clock.FirstToken == 0)
        {
            request.Clock.FirstToken = now;
            context.Metrics.FirstToken(context.Time.GetElapsedTime(request.Clock.Submitted, now));
        }
    }

    /// <summary>The text that the token makes certain, and whether it is the last.</summary>
    private static string NextText(Sample sample, int token, out SampleFinish? finish)
    {
        ActiveRequest request = sample.Request;
        Sequence sequence = sample.Sequence;
        bool isEnd = request.EndIds.AsSpan().Contains(token);
        bool canStop = sequence.OutputCount - sequence.PendingCount >= request.Request.MinTokens;
        bool isLast = isEnd || sequence.KnownCount - sequence.PendingCount == sequence.Spec.MaxLength;
        string text = "";
        if (sample.Text is SampleText decoded)
        {
            text = isEnd && !request.Request.IncludeStop ? "" : decoded.Append(token, canStop);
            if (isLast && decoded.FoundStop is null)
            {
                text += decoded.Finish(canStop && !isEnd);
            }
        }
        finish = Finish(request, sample.Text?.FoundStop, isEnd ? token : null, isLast);
        return request.Request.ReturnText ? text : "";
    }

    private static SampleFinish? Finish(ActiveRequest request, string? stop, int? endId, bool isLast)
    {
        if (endId is not null || stop is not null)
        {
            return new SampleFinish(FinishReason.Stop, endId is null ? stop : null, endId);
        }
        return isLast ? new SampleFinish(request.Request.MaxTokens is null ? FinishReason.ContextFull : FinishReason.Length) : null;
    }

    private static TokenLogProb[]? Top(SamplingBatch results, int row, int count)
    {
        if (count == 0)
        {
            return null;
        }
        var top = new TokenLogProb[count];
        for (int i = 0; i < count; i++)
        {
            top[i] = new TokenLogProb(results.TopIds(row)[i], results.TopLogProbs(row)[i]);
        }
        return top;
    }
}
