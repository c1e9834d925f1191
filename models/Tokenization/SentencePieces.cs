using System.Text;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>The pieces of a SentencePiece BPE model, wherever they were read from: text, score and kind by id.</summary>
internal sealed class SentencePieces(string fileName)
{
    /// <summary>Pieces are short; this bounds the time in which a lying file can have its merges sought.</summary>
    private const long MaxMergeEffort = 1L << 27;

    private readonly List<(string Text, float Score, PieceKind Kind)> _pieces = [];

    /// <summary>The numbers are SentencePiece's and GGUF's.</summary>
    public enum PieceKind
    {
        Normal = 1,
        Unknown = 2,
        Control = 3,
        UserDefined = 4,
        Unused = 5,
        Byte = 6,
    }

    public int Count => _pieces.Count;

    public void Add(string text, float score, PieceKind kind)
    {
        if (_pieces.Count == Vocabulary.MaxSize || float.IsNaN(score) || !Enum.IsDefined(kind))
        {
            throw new CheckpointException(fileName, $"token {_pieces.Count} has an impossible id, score or type");
        }
        _pieces.Add((text, score, kind));
    }

    public Vocabulary BuildVocabulary(IEnumerable<AddedToken> added)
    {
        TokenText spelling = new(ByteLevel: false, ByteFallback: true, TokenText.LowerOneEighthBlock);
        Vocabulary.Builder builder = new();
        for (int id = 0; id < _pieces.Count; id++)
        {
            (string text, _, PieceKind kind) = _pieces[id];
            if (kind == PieceKind.UserDefined)
            {
                builder.Add(new AddedToken(id, text, Special: false));
                continue;
            }
            byte[] bytes = kind is PieceKind.Normal or PieceKind.Byte ? spelling.Bytes(text) : Encoding.UTF8.GetBytes(text);
            builder.Add(id, text, bytes, special: kind is PieceKind.Control or PieceKind.Unknown);
        }
        foreach (AddedToken token in added)
        {
            builder.Add(token);
        }
        return builder.Build();
    }

    /// <summary>The tokens that are found in the text before merging.</summary>
    public IEnumerable<AddedToken> AddedTokens(PieceKind kind) => _pieces
        .Select((piece, id) => new AddedToken(id, piece.Text, Special: kind != PieceKind.UserDefined))
        .Where(token => _pieces[token.Id].Kind == kind && token.Content.Length > 0);

    /// <summary>The id of the first piece of a kind, or −1.</summary>
    public int First(PieceKind kind) => _pieces.FindIndex(piece => piece.Kind == kind);

    public bool HasBytes => _pieces.Exists(piece => piece.Kind == PieceKind.Byte);

    /// <summary>
    /// The merges that scores imply: any two pieces that make up a third may merge, those with the best score first.
    /// </summary>
    public MergeTable BuildMerges()
    {
        Dictionary<string, int> idOf = [];
        for (int id = 0; id < _pieces.Count; id++)
        {
            if (_pieces[id].Kind is PieceKind.Normal or PieceKind.Unused)
            {
                idOf.TryAdd(_pieces[id].Text, id);
            }
        }
        if (idOf.Keys.Sum(text => (long)text.Length * text.Length) > MaxMergeEffort)
        {
            throw new CheckpointException(fileName, "has tokens too long to be real");
        }
        Dictionary<float, int> rankOf = [];
        foreach (float score in idOf.Values.Select(id => _pieces[id].Score).Distinct().OrderDescending())
        {
            rankOf.Add(score, rankOf.Count);
        }
        Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> lookup = idOf.GetAlternateLookup<ReadOnlySpan<char>>();
        List<(int Left, int Right, int Rank, int Merged)> merges = [];
        foreach ((string text, int merged) in idOf)
        {
            for (int cut = 1; cut < text.Length; cut++)
            {
                if (lookup.TryGetValue(text.AsSpan(0, cut), out int left) && lookup.TryGetValue(text.AsSpan(cut), out int right))
                {
                    merges.Add((left, right, rankOf[_pieces[merged].Score], merged));
                }
            }
        }
        return new MergeTable(merges);
    }
}
