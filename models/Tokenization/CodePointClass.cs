using System.Globalization;

namespace LlamaServe.Models.Tokenization;

/// <summary>A set of code points, as in <c>[^\r\n\p{L}\p{N}]</c>: ranges, Unicode categories, white space, negation.</summary>
internal sealed class CodePointClass
{
    private readonly (int From, int To)[] _ranges;
    private readonly uint _categories;
    private readonly bool _space;
    private readonly bool _notSpace;
    private readonly bool _negated;
    private readonly UInt128 _ascii;

    /// <param name="categories">Bit c stands for <see cref="UnicodeCategory"/> c.</param>
    /// <param name="space">All white space is in it.</param>
    /// <param name="notSpace">All but white space is in it.</param>
    /// <param name="negated">The set is the complement of all that.</param>
    public CodePointClass((int From, int To)[] ranges, uint categories, bool space, bool notSpace, bool negated)
    {
        (_ranges, _categories, _space, _notSpace, _negated) = (ranges, categories, space, notSpace, negated);
        for (int c = 0; c < 128; c++)
        {
            _ascii |= Evaluate(c) ? UInt128.One << c : UInt128.Zero;
        }
    }

    public bool Contains(int codePoint) => codePoint < 128 ? (_ascii >> codePoint & 1) != 0 : Evaluate(codePoint);

    private bool Evaluate(int codePoint)
    {
        bool contained = (_categories >> (int)CharUnicodeInfo.GetUnicodeCategory(codePoint) & 1) != 0;
        if (_space || _notSpace)
        {
            bool isSpace = codePoint <= char.MaxValue && char.IsWhiteSpace((char)codePoint);
            contained |= isSpace ? _space : _notSpace;
        }
        foreach ((int from, int to) in _ranges)
        {
            contained |= codePoint >= from && codePoint <= to;
        }
        return contained != _negated;
    }
}
