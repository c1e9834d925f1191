using LlamaServe.Engine.Scheduling;
using LlamaServe.Engine.Text;

namespace LlamaServe.Engine.Requests;

/// <summary>One of a request's outputs.</summary>
internal sealed class Sample
{
    public Sample(ActiveRequest request, SequenceSpec spec)
    {
        Request = request;
        Sequence = new Sequence(spec, this);
    }

    public ActiveRequest Request { get; }

    public Sequence Sequence { get; }

    public int Index => Sequence.Spec.Sample;

    /// <summary>null where no text is needed.</summary>
    public SampleText? Text { get; set; }

    public bool IsFinished { get; set; }
}
