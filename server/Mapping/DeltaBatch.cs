using System.Text;
using LlamaServe.Engine.Requests;
using LlamaServe.V1;
using FinishReason = LlamaServe.V1.FinishReason;

namespace LlamaServe.Server.Mapping;

/// <summary>
/// Gathers the tokens that are ready together into one response message. The message is reused: it has to be written before
/// <see cref="Clear"/>.
/// </summary>
/// <param name="samples">Samples of the request.</param>
internal sealed class DeltaBatch(int samples)
{
    private readonly Delta?[] _deltas = new Delta?[samples];
    private readonly StringBuilder?[] _texts = new StringBuilder?[samples];
    private readonly bool[] _listed = new bool[samples];

    /// <summary>The message; complete after <see cref="Seal"/>.</summary>
    public GenerateResponse Response { get; } = new();

    /// <summary>Tokens and finishes since the last <see cref="Clear"/>.</summary>
    public int Count { get; private set; }

    /// <summary>Samples that have ended.</summary>
    public int Finished { get; private set; }

    /// <summary>The first finish that was no success; null while there is none.</summary>
    public SampleFinish? Failure { get; private set; }

    public void Add(in GeneratedToken token)
    {
        Count++;
        Finished += token.Finish is null ? 0 : 1;
        if (token.Finish is { } end && !StatusTable.IsSuccess(end.Reason))
        {
            Failure ??= end;
            return;
        }
        Delta delta = DeltaOf(token.Sample);
        if (token.TokenId >= 0)
        {
            delta.TokenIds.Add((uint)token.TokenId);
            if (!float.IsNaN(token.LogProb))
            {
                delta.Logprobs.Add(ResponseMapper.LogProb(token.TokenId, token.LogProb, token.Top));
            }
        }
        AddText(delta, token.Text);
        if (token.Finish is { } finish)
        {
            AddFinish(delta, finish);
        }
    }

    /// <summary>Puts texts that came in pieces into their deltas.</summary>
    public void Seal()
    {
        foreach (Delta delta in Response.Deltas)
        {
            if (_texts[delta.Sample] is { Length: > 0 } pieces)
            {
                delta.Text = pieces.ToString();
                pieces.Clear();
            }
        }
    }

    public void Clear()
    {
        foreach (Delta delta in Response.Deltas)
        {
            delta.TokenIds.Clear();
            delta.Logprobs.Clear();
            delta.Text = "";
            delta.Finish = null;
            _listed[delta.Sample] = false;
        }
        Response.Deltas.Clear();
        Response.Prompt = null;
        Count = 0;
    }

    private Delta DeltaOf(int sample)
    {
        Delta delta = _deltas[sample] ??= new Delta { Sample = (uint)sample };
        if (!_listed[sample])
        {
            _listed[sample] = true;
            Response.Deltas.Add(delta);
        }
        return delta;
    }

    // One piece, the usual case, is passed on as it is; only several are copied together.
    private void AddText(Delta delta, string text)
    {
        if (text.Length == 0)
        {
            return;
        }
        if (delta.Text.Length == 0)
        {
            delta.Text = text;
            return;
        }
        StringBuilder pieces = _texts[delta.Sample] ??= new StringBuilder();
        if (pieces.Length == 0)
        {
            pieces.Append(delta.Text);
        }
        pieces.Append(text);
    }

    private static void AddFinish(Delta delta, SampleFinish finish)
    {
        delta.Finish = new Finish
        {
            Reason = finish.Reason switch
            {
                Engine.Requests.FinishReason.Stop => FinishReason.Stop,
                Engine.Requests.FinishReason.Length => FinishReason.Length,
                _ => FinishReason.ContextFull,
            },
        };
        if (finish.MatchedStop is { } text)
        {
            delta.Finish.Stop = text;
        }
        else if (finish.MatchedStopId is { } id)
        {
            delta.Finish.StopTokenId = (uint)id;
        }
    }
}
