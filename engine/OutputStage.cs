using LlamaServe.Engine.Requests;
using LlamaServe.Engine.Scheduling;

namespace LlamaServe.Engine;

/// <summary>Collects what a step brought and hands it to the readers, once the step is committed.</summary>
/// <param name="scheduler">null where nothing is scheduled any more.</param>
internal sealed class OutputStage(LoopContext context, LiveRequests live, Scheduler? scheduler)
{
    private readonly List<Emission> _emissions = new(2 * context.Options.MaxSequences);

    /// <summary>Adds a token of a sample that goes on.</summary>
    public void Emit(Sample sample, in GeneratedToken token) => _emissions.Add(new Emission(sample.Request, token, null));

    /// <summary>Ends a sample with its last token, and its request with its last sample.</summary>
    public void Finish(Sample sample, in GeneratedToken last, long now)
    {
        ActiveRequest request = sample.Request;
        scheduler?.Remove(sample.Sequence, now);
        sample.IsFinished = true;
        request.Live--;
        _emissions.Add(new Emission(request, last, request.Live == 0 ? Summarize(request, now) : null));
        if (request.Live == 0)
        {
            live.Remove(request);
        }
    }

    /// <summary>Ends what is left of a request.</summary>
    /// <param name="error">One sentence for the caller, where the engine is at fault.</param>
    public void FinishAll(ActiveRequest request, FinishReason reason, long now, string? error = null)
    {
        request.Error ??= error;
        foreach (Sample sample in request.Samples)
        {
            if (!sample.IsFinished)
            {
                string text = request.Request.ReturnText ? sample.Text?.Finish(canStop: false) ?? "" : "";
                Finish(sample, new GeneratedToken(sample.Index, -1, text, Finish: new SampleFinish(reason)), now);
            }
        }
    }

    /// <summary>Writes everything collected to the readers; pauses the requests whose reader is behind.</summary>
    public void Publish(long now)
    {
        foreach (ref readonly Emission emission in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_emissions))
        {
            ActiveRequest request = emission.Request;
            request.Output.Write(emission.Token);
            if (emission.Summary is not null)
            {
                Close(request, emission, now);
            }
            else if (request.Clock.PausedSince == 0 && !request.Output.HasRoom(request.Live))
            {
                Pause(request, now);
            }
        }
        _emissions.Clear();
    }

    /// <summary>Lets a paused request go on if its reader has made room.</summary>
    public void TryResume(ActiveRequest request, long now)
    {
        if (request.Clock.PausedSince == 0 || request.Output.TryWaitForRoom(request.Live))
        {
            return;
        }
        live.Resume(request);
        SetPaused(request, false, now);
    }

    private void Pause(ActiveRequest request, long now)
    {
        if (request.Live > 0 && request.Output.TryWaitForRoom(request.Live))
        {
            live.Pause(request, now);
            SetPaused(request, true, now);
        }
    }

    private void SetPaused(ActiveRequest request, bool paused, long now)
    {
        foreach (Sample sample in request.Samples)
        {
            scheduler?.SetPaused(sample.Sequence, paused, now);
        }
    }

    private void Close(ActiveRequest request, in Emission last, long now)
    {
        request.Cancellation.Unregister();
        request.Handle.Summary = last.Summary;
        context.Metrics.RequestEnded(context.Time.GetElapsedTime(request.Clock.Submitted, now), last.Summary!, request.Samples.Length, last.Token.Finish!.Reason);
        context.Admission.Leave(request.Id, request.Request.Tenant, request.Terms.Cost);
        request.Output.Complete();
    }

    private GenerationSummary Summarize(ActiveRequest request, long now)
    {
        int preemptions = 0;
        foreach (Sample sample in request.Samples)
        {
            preemptions += sample.Sequence.Preemptions;
        }
        Sequence first = request.Samples[0].Sequence;
        return new GenerationSummary(
            first.PromptLength, first.PrefixHit, request.CompletionTokens, request.Clock.Timings(context.Time, preemptions, now), request.Error);
    }

    private readonly record struct Emission(ActiveRequest Request, GeneratedToken Token, GenerationSummary? Summary);
}
